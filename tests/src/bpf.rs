//! The few `bpf(2)` commands that hand-made programs need, without a loader.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const LINK_CREATE: libc::c_int = 28;

/// `struct bpf_insn` as one little-endian word.
pub(crate) const fn insn(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let [c, d] = offset.to_le_bytes();
    let [e, f, g, h] = immediate.to_le_bytes();
    u64::from_le_bytes([code, source << 4 | destination, c, d, e, f, g, h])
}

/// An array map with one `u64`.
#[derive(Debug)]
pub(crate) struct Counter(OwnedFd);

impl Counter {
    pub(crate) fn create() -> Result<Self> {
        #[repr(C)]
        struct Map {
            map_type: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            rest: [u64; 12],
        }

        const ARRAY: u32 = 2;
        let map = Map {
            map_type: ARRAY,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            rest: [0; 12],
        };
        // SAFETY: the attributes are those of BPF_MAP_CREATE, which holds no pointers.
        let map = unsafe { bpf(MAP_CREATE, &map) }.context("make a map")?;
        Ok(Self(new_descriptor(map)))
    }

    pub(crate) fn read(&self) -> Result<u64> {
        #[repr(C)]
        struct Element {
            map: i32,
            zero: u32,
            key: u64,
            value: u64,
            flags: u64,
        }

        let key = 0_u32;
        let mut value = 0_u64;
        let element = Element {
            map: self.0.as_raw_fd(),
            zero: 0,
            key: (&raw const key).addr() as u64,
            value: (&raw mut value).addr() as u64,
            flags: 0,
        };
        // SAFETY: the attributes are those of BPF_MAP_LOOKUP_ELEM; key and value have the sizes with which the map was
        // made and live over the call.
        unsafe { bpf(MAP_LOOKUP_ELEM, &element) }.context("read a counter")?;
        Ok(value)
    }

    /// `r0 = address of the counter`; falls through to the instruction after it where there is none, which cannot be
    /// but must be tested by the program. Clobbers r1 to r5.
    pub(crate) fn look_up(&self) -> [u64; 6] {
        [
            insn(0x62, 10, 0, -4, 0),                // *(u32 *)(r10 - 4) = 0
            insn(0xbf, 2, 10, 0, 0),                 // r2 = r10
            insn(0x07, 2, 0, 0, -4),                 // r2 += -4
            insn(0x18, 1, 1, 0, self.0.as_raw_fd()), // r1 = map
            insn(0x00, 0, 0, 0, 0),
            insn(0x85, 0, 0, 0, 1), // call map_lookup_elem
        ]
    }
}

/// Type of a program, numbers of `linux/bpf.h`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProgramType {
    Classifier = 3,
    Xdp = 6,
}

pub(crate) fn load(program_type: ProgramType, instructions: &[u64]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Program {
        program_type: u32,
        count: u32,
        instructions: u64,
        license: u64,
        rest: [u64; 12],
    }

    let program = Program {
        program_type: program_type as u32,
        count: u32::try_from(instructions.len()).context("number of instructions")?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"Dual MIT/GPL".as_ptr().addr() as u64,
        rest: [0; 12],
    };
    // SAFETY: the attributes are those of BPF_PROG_LOAD; the instructions, `count` of them, and the license live over
    // the call.
    let program = unsafe { bpf(PROG_LOAD, &program) }.context("load a program")?;
    Ok(new_descriptor(program))
}

/// Attaches a program to an interface of the calling thread's namespace.
pub(crate) fn link(program: &OwnedFd, ifindex: u32, attach_type: u32, flags: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        program: i32,
        ifindex: u32,
        attach_type: u32,
        flags: u32,
        rest: [u64; 6],
    }

    let link = Link {
        program: program.as_raw_fd(),
        ifindex,
        attach_type,
        flags,
        rest: [0; 6],
    };
    // SAFETY: the attributes are those of BPF_LINK_CREATE, which holds no pointers.
    let link = unsafe { bpf(LINK_CREATE, &link) }.context("attach a program")?;
    Ok(new_descriptor(link))
}

/// Runs an XDP program `repeat` times over copies of `frame`, as if they had arrived at an interface of the calling
/// thread's namespace, and does what it says with each (`BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18).
pub(crate) fn run_live(program: &OwnedFd, frame: &[u8], ifindex: u32, repeat: u32) -> Result<()> {
    #[repr(C)]
    #[derive(Default)]
    struct Run {
        program: i32,
        verdict: u32,
        data_size_in: u32,
        data_size_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        context_size_in: u32,
        context_size_out: u32,
        context_in: u64,
        context_out: u64,
        flags: u32,
        cpu: u32,
        batch_size: u32,
        zero: u32,
    }

    const LIVE_FRAMES: u32 = 1 << 1;
    let size = u32::try_from(frame.len()).context("length of the frame")?;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0_u32, size, 0, ifindex, 0, 0];
    let run = Run {
        program: program.as_raw_fd(),
        data_size_in: size,
        data_in: frame.as_ptr().addr() as u64,
        repeat,
        context_size_in: size_of_val(&context) as u32,
        context_in: (&raw const context).addr() as u64,
        flags: LIVE_FRAMES,
        ..Run::default()
    };
    // SAFETY: the attributes are those of BPF_PROG_TEST_RUN; frame and context live over the call and are only read.
    unsafe { bpf(PROG_TEST_RUN, &run) }.context("run a program over live frames")?;
    Ok(())
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
