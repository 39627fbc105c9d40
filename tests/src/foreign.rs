//! Somebody else's BPF program on the same interface: a few instructions made by hand, so that nothing of ours helps it.
//!
//! It counts the packets that it sees and lets them pass. The tests ask it whether it still runs beside ours, and the
//! benchmarks use its empty form as the floor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

/// Where the program hooks in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    XdpNative,
    XdpGeneric,
    TcxIngress,
    TcxEgress,
}

impl Hook {
    /// (program type, attach type, flags of the link, verdict "go on") of `linux/bpf.h`.
    const fn constants(self) -> (u32, u32, u32, i32) {
        match self {
            Self::XdpNative => (6, 37, 1 << 2, 2),
            Self::XdpGeneric => (6, 37, 1 << 1, 2),
            Self::TcxIngress => (3, 46, 0, -1),
            Self::TcxEgress => (3, 47, 0, -1),
        }
    }
}

/// A loaded and attached program; gone with the guard.
#[derive(Debug)]
pub struct ForeignProgram {
    counter: Option<OwnedFd>,
    _program: OwnedFd,
    _link: OwnedFd,
}

impl ForeignProgram {
    /// Attaches a program that counts.
    ///
    /// # Errors
    /// The kernel refuses the map, the program or the link.
    pub fn counting(namespace: &Netns, interface: &str, hook: Hook) -> Result<Self> {
        let counter = create_counter()?;
        let verdict = hook.constants().3;
        let instructions = [
            insn(0x62, 10, 0, -4, 0),                 // *(u32 *)(r10 - 4) = 0
            insn(0xbf, 2, 10, 0, 0),                  // r2 = r10
            insn(0x07, 2, 0, 0, -4),                  // r2 += -4
            insn(0x18, 1, 1, 0, counter.as_raw_fd()), // r1 = map
            insn(0x00, 0, 0, 0, 0),
            insn(0x85, 0, 0, 0, 1),       // call map_lookup_elem
            insn(0x15, 0, 0, 2, 0),       // if r0 == 0 skip two
            insn(0xb7, 1, 0, 0, 1),       // r1 = 1
            insn(0xdb, 0, 1, 0, 0),       // lock *(u64 *)r0 += r1
            insn(0xb7, 0, 0, 0, verdict), // r0 = verdict
            insn(0x95, 0, 0, 0, 0),       // exit
        ];
        Self::attach(namespace, interface, hook, &instructions, Some(counter))
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
        #[repr(C)]
        struct Element {
            map: u32,
            zero: u32,
            key: u64,
            value: u64,
            flags: u64,
        }

        let Some(counter) = &self.counter else {
            return Ok(None);
        };
        let key = 0_u32;
        let mut value = 0_u64;
        let element = Element {
            map: descriptor(counter)?,
            zero: 0,
            key: (&raw const key).addr() as u64,
            value: (&raw mut value).addr() as u64,
            flags: 0,
        };
        // SAFETY: the attributes are those of BPF_MAP_LOOKUP_ELEM; key and value have the sizes with which the map was
        // made and live over the call.
        unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &element) }.context("read the counter")?;
        Ok(Some(value))
    }

    fn attach(
        namespace: &Netns,
        interface: &str,
        hook: Hook,
        instructions: &[u64],
        counter: Option<OwnedFd>,
    ) -> Result<Self> {
        #[repr(C)]
        struct Link {
            program: u32,
            ifindex: u32,
            attach_type: u32,
            flags: u32,
            rest: [u64; 6],
        }

        let (program_type, attach_type, flags, _) = hook.constants();
        let program = load(program_type, instructions)?;
        let link = Link {
            program: descriptor(&program)?,
            ifindex: namespace.ifindex(interface)?,
            attach_type,
            flags,
            rest: [0; 6],
        };
        // SAFETY: the attributes are those of BPF_LINK_CREATE, which holds no pointers.
        let link = namespace.run(|| unsafe { bpf(BPF_LINK_CREATE, &link) });
        let link = new_descriptor(link.with_context(|| format!("attach to {interface} at {hook:?}"))?);
        Ok(Self {
            counter,
            _program: program,
            _link: link,
        })
    }
}

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;

/// `struct bpf_insn` as one little-endian word.
const fn insn(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let [c, d] = offset.to_le_bytes();
    let [e, f, g, h] = immediate.to_le_bytes();
    u64::from_le_bytes([code, source << 4 | destination, c, d, e, f, g, h])
}

fn create_counter() -> Result<OwnedFd> {
    #[repr(C)]
    struct Map {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        rest: [u64; 12],
    }

    // BPF_MAP_TYPE_ARRAY with one counter.
    let map = Map {
        map_type: 2,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        rest: [0; 12],
    };
    // SAFETY: the attributes are those of BPF_MAP_CREATE, which holds no pointers.
    let map = unsafe { bpf(BPF_MAP_CREATE, &map) }.context("make a map")?;
    Ok(new_descriptor(map))
}

fn load(program_type: u32, instructions: &[u64]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Program {
        program_type: u32,
        count: u32,
        instructions: u64,
        license: u64,
        rest: [u64; 12],
    }

    let program = Program {
        program_type,
        count: u32::try_from(instructions.len()).context("number of instructions")?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"Dual MIT/GPL".as_ptr().addr() as u64,
        rest: [0; 12],
    };
    // SAFETY: the attributes are those of BPF_PROG_LOAD; the instructions, `count` of them, and the license live over
    // the call.
    let program = unsafe { bpf(BPF_PROG_LOAD, &program) }.context("load a program")?;
    Ok(new_descriptor(program))
}

/// # Safety
/// `attributes` must be the leading part of `union bpf_attr` of the command, and pointers in it must be valid.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    let size = size_of::<T>();
    // SAFETY: pointer and size are those of `attributes`; the caller promises what is in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn new_descriptor(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel just made the descriptor for us and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn descriptor(owned: &OwnedFd) -> Result<u32> {
    let descriptor = u32::try_from(owned.as_raw_fd());
    ensure!(descriptor.is_ok(), "a descriptor is never negative");
    descriptor.context("descriptor")
}
