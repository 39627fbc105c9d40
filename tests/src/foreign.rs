//! Somebody else's BPF program on the same interface: a few instructions made by hand, so that nothing of ours helps it.
//!
//! It counts the packets that it sees and lets them pass. The tests ask it whether it still runs beside ours, and the
//! benchmarks use its empty form as the floor.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};

use crate::bpf::{Counter, ProgramType, insn, link, load};
use crate::netns::Netns;

/// `BPF_F_BEFORE` without another program named: the first of its hook.
const BEFORE: u32 = 1 << 3;

/// Where the program hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    XdpNative,
    XdpGeneric,
    TcxIngress,
    TcxEgress,
}

impl Hook {
    /// Program type, then of `linux/bpf.h`: attach type, flags of the link, verdict "go on".
    const fn constants(self) -> (ProgramType, u32, u32, i32) {
        match self {
            Self::XdpNative => (ProgramType::Xdp, 37, 1 << 2, 2),
            Self::XdpGeneric => (ProgramType::Xdp, 37, 1 << 1, 2),
            Self::TcxIngress => (ProgramType::Classifier, 46, 0, -1),
            Self::TcxEgress => (ProgramType::Classifier, 47, 0, -1),
        }
    }
}

/// A loaded and attached program; gone with the guard.
#[derive(Debug)]
pub struct ForeignProgram {
    counter: Option<Counter>,
    _program: OwnedFd,
    _link: OwnedFd,
}

impl ForeignProgram {
    /// Attaches a program that counts.
    ///
    /// # Errors
    /// The kernel refuses the map, the program or the link.
    pub fn counting(namespace: &Netns, interface: &str, hook: Hook) -> Result<Self> {
        let counter = Counter::create()?;
        let mut instructions = counter.look_up().to_vec();
        instructions.extend([
            insn(0x15, 0, 0, 2, 0),                  // if r0 == 0 skip two
            insn(0xb7, 1, 0, 0, 1),                  // r1 = 1
            insn(0xdb, 0, 1, 0, 0),                  // lock *(u64 *)r0 += r1
            insn(0xb7, 0, 0, 0, hook.constants().3), // r0 = verdict
            insn(0x95, 0, 0, 0, 0),                  // exit
        ]);
        Self::attach(namespace, interface, hook, &instructions, Some(counter))
    }

    /// Attaches a program that counts buffers whose VLAN tag is not in the frame but in their metadata.
    ///
    /// # Errors
    /// As [`Self::counting`].
    pub fn counting_stripped_tags(namespace: &Netns, interface: &str, hook: Hook) -> Result<Self> {
        let counter = Counter::create()?;
        let mut instructions = vec![
            insn(0x61, 1, 1, 20, 0), // r1 = skb->vlan_present
            insn(0x15, 1, 0, 9, 0),  // if r1 == 0 skip to the verdict
        ];
        instructions.extend(counter.look_up());
        instructions.extend([
            insn(0x15, 0, 0, 2, 0),                  // if r0 == 0 skip two
            insn(0xb7, 1, 0, 0, 1),                  // r1 = 1
            insn(0xdb, 0, 1, 0, 0),                  // lock *(u64 *)r0 += r1
            insn(0xb7, 0, 0, 0, hook.constants().3), // r0 = verdict
            insn(0x95, 0, 0, 0, 0),                  // exit
        ]);
        Self::attach(namespace, interface, hook, &instructions, Some(counter))
    }

    /// Attaches a program, in front of those that are there, that gives each buffer a VLAN tag in its metadata, as a
    /// network card with tag offload does.
    ///
    /// # Errors
    /// The kernel refuses the program or the link.
    pub fn tagging(namespace: &Netns, interface: &str, hook: Hook, tag: u16) -> Result<Self> {
        let instructions = [
            insn(0xb7, 2, 0, 0, i32::from(0x8100_u16.to_be())), // r2 = protocol, as on the wire
            insn(0xb7, 3, 0, 0, i32::from(tag)),                // r3 = tag
            insn(0x85, 0, 0, 0, 18),                            // call skb_vlan_push
            insn(0xb7, 0, 0, 0, hook.constants().3),            // r0 = verdict
            insn(0x95, 0, 0, 0, 0),                             // exit
        ];
        Self::attach_at(namespace, interface, hook, BEFORE, &instructions, None)
    }

    /// Attaches a program that does nothing.
    ///
    /// # Errors
    /// The kernel refuses the program or the link.
    pub fn empty(namespace: &Netns, interface: &str, hook: Hook) -> Result<Self> {
        let instructions = [insn(0xb7, 0, 0, 0, hook.constants().3), insn(0x95, 0, 0, 0, 0)];
        Self::attach(namespace, interface, hook, &instructions, None)
    }

    /// Packets that it has seen; `None` for an empty program.
    ///
    /// # Errors
    /// The kernel refuses the look-up.
    pub fn packets(&self) -> Result<Option<u64>> {
        self.counter.as_ref().map(Counter::read).transpose()
    }

    fn attach(
        namespace: &Netns,
        interface: &str,
        hook: Hook,
        instructions: &[u64],
        counter: Option<Counter>,
    ) -> Result<Self> {
        Self::attach_at(namespace, interface, hook, 0, instructions, counter)
    }

    fn attach_at(
        namespace: &Netns,
        interface: &str,
        hook: Hook,
        place: u32,
        instructions: &[u64],
        counter: Option<Counter>,
    ) -> Result<Self> {
        let (program_type, attach_type, flags, _) = hook.constants();
        let program = load(program_type, instructions)?;
        let ifindex = namespace.ifindex(interface)?;
        let link = namespace
            .run(|| link(&program, ifindex, attach_type, flags | place))
            .with_context(|| format!("{hook:?} of {interface}"))?;
        Ok(Self {
            counter,
            _program: program,
            _link: link,
        })
    }
}
