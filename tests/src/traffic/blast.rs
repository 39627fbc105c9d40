//! More packets than a socket can send: an XDP program makes them inside the kernel and transmits them.

use std::os::fd::OwnedFd;

use anyhow::Result;

use crate::bpf::{Counter, ProgramType, insn, load, run_live};
use crate::frames::{Host, SYN, Tcp, tcp};

/// SYNs, each of a flow of its own (up to 2^32), sent out of one end of a veth pair without a system call each.
///
/// The other end must have an XDP program of its own, otherwise veth takes no frames from XDP.
#[derive(Debug)]
pub struct Blast {
    made: Counter,
    program: OwnedFd,
    frame: Vec<u8>,
}

impl Blast {
    /// # Errors
    /// The kernel refuses the program.
    pub fn new(target: &Host) -> Result<Self> {
        let made = Counter::create()?;
        let mut instructions = vec![
            insn(0x61, 7, 1, 0, 0),  // r7 = data
            insn(0x61, 8, 1, 4, 0),  // r8 = data_end
            insn(0xbf, 2, 7, 0, 0),  // r2 = r7
            insn(0x07, 2, 0, 0, 54), // r2 += 54
            insn(0x2d, 2, 8, 18, 0), // if r2 > r8 go to drop
        ];
        instructions.extend(made.look_up());
        instructions.extend([
            insn(0x15, 0, 0, 11, 0), // if r0 == 0 go to drop
            insn(0x79, 1, 0, 0, 0),  // r1 = *(u64 *)r0
            insn(0x07, 1, 0, 0, 1),  // r1 += 1
            insn(0x7b, 0, 1, 0, 0),  // *(u64 *)r0 = r1
            // The low half goes into the source address and, inverted, into the identification, so that the
            // checksum of the IP header stays right; the next half is the source port.
            insn(0x6b, 7, 1, 28, 0), // *(u16 *)(r7 + 28) = r1
            insn(0xbf, 2, 1, 0, 0),  // r2 = r1
            insn(0xa7, 2, 0, 0, -1), // r2 ^= -1
            insn(0x6b, 7, 2, 18, 0), // *(u16 *)(r7 + 18) = r2
            insn(0x77, 1, 0, 0, 16), // r1 >>= 16
            insn(0x6b, 7, 1, 34, 0), // *(u16 *)(r7 + 34) = r1
            insn(0xb7, 0, 0, 0, 3),  // r0 = XDP_TX
            insn(0x95, 0, 0, 0, 0),  // exit
            insn(0xb7, 0, 0, 0, 1),  // drop: r0 = XDP_DROP
            insn(0x95, 0, 0, 0, 0),  // exit
        ]);
        let program = load(ProgramType::Xdp, &instructions)?;
        let header = Tcp {
            destination_port: 80,
            sequence: 1,
            flags: SYN,
            ..Tcp::default()
        };
        let frame = tcp(&Host::new([11, 0, 0, 0].into()), target, header, &[]);
        Ok(Self { made, program, frame })
    }

    /// Sends `frames` SYNs out of an interface of the calling thread's namespace, on the thread's CPU.
    ///
    /// # Errors
    /// The kernel refuses to run the program (before Linux 5.18).
    pub fn send(&self, ifindex: u32, frames: u32) -> Result<()> {
        run_live(&self.program, &self.frame, ifindex, frames)
    }

    /// SYNs made so far. Those for which the receiving end had no room are among them.
    ///
    /// # Errors
    /// The kernel refuses the look-up.
    pub fn made(&self) -> Result<u64> {
        self.made.read()
    }
}
