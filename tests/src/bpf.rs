//! The few `bpf(2)` commands that hand-made programs need, without a loader.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const PROG_TEST_RUN: libc::c_int = 10;
const LINK_CREATE: libc::c_int = 28;

/// `struct bpf_insn` as one little-endian word.
pub(crate) const fn insn(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let [c, d] = offset.to_le_bytes();
    let [e, f, g, h] = immediate.to_le_bytes();
    u64::from_le_bytes([code, source << 4 | destination, c, d, e, f, g, h])
}

/// Type of a map, numbers of `linux/bpf.h`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MapType {
    Hash = 1,
    Array = 2,
    Programs = 3,
}

/// A map. Keys and values are the bytes that the programs see.
#[derive(Debug)]
pub(crate) struct Map {
    descriptor: OwnedFd,
    key_size: u32,
    value_size: u32,
}

#[repr(C)]
struct Element {
    map: i32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Map {
    pub(crate) fn create(map_type: MapType, key_size: u32, value_size: u32, entries: u32) -> Result<Self> {
        #[repr(C)]
        struct Attributes {
            map_type: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            rest: [u64; 12],
        }

        let mut attributes = Attributes {
            map_type: map_type as u32,
            key_size,
            value_size,
            max_entries: entries,
            rest: [0; 12],
        };
        // SAFETY: the attributes are those of BPF_MAP_CREATE, which holds no pointers.
        let map = unsafe { bpf(MAP_CREATE, &mut attributes) }.context("make a map")?;
        Ok(Self {
            descriptor: new_descriptor(map),
            key_size,
            value_size,
        })
    }

    pub(crate) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<()> {
        let mut element = self.element(key, value.as_mut_ptr(), value.len())?;
        // SAFETY: the attributes are those of BPF_MAP_LOOKUP_ELEM; key and value have the sizes with which the map was
        // made and live over the call.
        unsafe { bpf(MAP_LOOKUP_ELEM, &mut element) }.context("read a map")?;
        Ok(())
    }

    pub(crate) fn write(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut element = self.element(key, value.as_ptr().cast_mut(), value.len())?;
        // SAFETY: as in `read`; the kernel only reads the value.
        unsafe { bpf(MAP_UPDATE_ELEM, &mut element) }.context("write to a map")?;
        Ok(())
    }

    fn element(&self, key: &[u8], value: *mut u8, len: usize) -> Result<Element> {
        ensure!(
            key.len() == self.key_size as usize && len == self.value_size as usize,
            "key or value has another size than the map's"
        );
        Ok(Element {
            map: self.descriptor.as_raw_fd(),
            zero: 0,
            key: key.as_ptr().addr() as u64,
            value: value.addr() as u64,
            flags: 0,
        })
    }

    /// `register = map`
    pub(crate) fn put_in_register(&self, register: u8) -> [u64; 2] {
        [
            insn(0x18, register, 1, 0, self.descriptor.as_raw_fd()),
            insn(0, 0, 0, 0, 0),
        ]
    }

    /// `r0 = address of element 0`, 0 where there is none, which cannot be in an array but must be tested by the program.
    /// Clobbers r1 to r5 and four bytes of stack.
    pub(crate) fn look_up_first(&self) -> [u64; 6] {
        let [map, rest] = self.put_in_register(1);
        [
            insn(0x62, 10, 0, -4, 0), // *(u32 *)(r10 - 4) = 0
            insn(0xbf, 2, 10, 0, 0),  // r2 = r10
            insn(0x07, 2, 0, 0, -4),  // r2 += -4
            map,
            rest,
            insn(0x85, 0, 0, 0, 1), // call map_lookup_elem
        ]
    }
}

/// An array map with one `u64`.
#[derive(Debug)]
pub(crate) struct Counter(Map);

impl Counter {
    pub(crate) fn create() -> Result<Self> {
        Map::create(MapType::Array, 4, 8, 1).map(Self)
    }

    pub(crate) fn read(&self) -> Result<u64> {
        let mut value = [0; 8];
        self.0.read(&[0; 4], &mut value)?;
        Ok(u64::from_ne_bytes(value))
    }

    pub(crate) fn set(&self, value: u64) -> Result<()> {
        self.0.write(&[0; 4], &value.to_ne_bytes())
    }

    /// As [`Map::look_up_first`].
    pub(crate) fn look_up(&self) -> [u64; 6] {
        self.0.look_up_first()
    }
}

/// Type of a program, numbers of `linux/bpf.h`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProgramType {
    Classifier = 3,
    Xdp = 6,
}

/// What the kernel compares before a program may be behind a tail call of another one (Linux 5.18 and 6.17).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kind {
    flags: u32,
    attach_type: u32,
}

impl Kind {
    /// As aya loads the sensor's programs: XDP with fragments (`BPF_F_XDP_HAS_FRAGS`, `BPF_XDP`).
    pub(crate) const fn of_the_sensor(program_type: ProgramType) -> Self {
        match program_type {
            ProgramType::Xdp => Self {
                flags: 1 << 5,
                attach_type: 37,
            },
            ProgramType::Classifier => Self {
                flags: 0,
                attach_type: 0,
            },
        }
    }
}

pub(crate) fn load(program_type: ProgramType, instructions: &[u64]) -> Result<OwnedFd> {
    load_as(program_type, Kind::default(), instructions)
}

pub(crate) fn load_as(program_type: ProgramType, kind: Kind, instructions: &[u64]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Program {
        program_type: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log: [u64; 2],
        kernel_version: u32,
        flags: u32,
        name: [u64; 2],
        ifindex: u32,
        attach_type: u32,
        rest: [u64; 6],
    }

    let mut program = Program {
        program_type: program_type as u32,
        count: u32::try_from(instructions.len()).context("number of instructions")?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"Dual MIT/GPL".as_ptr().addr() as u64,
        log: [0; 2],
        kernel_version: 0,
        flags: kind.flags,
        name: [0; 2],
        ifindex: 0,
        attach_type: kind.attach_type,
        rest: [0; 6],
    };
    // SAFETY: the attributes are those of BPF_PROG_LOAD; the instructions, `count` of them, and the license live over
    // the call.
    let program = unsafe { bpf(PROG_LOAD, &mut program) }.context("load a program")?;
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

    let mut link = Link {
        program: program.as_raw_fd(),
        ifindex,
        attach_type,
        flags,
        rest: [0; 6],
    };
    // SAFETY: the attributes are those of BPF_LINK_CREATE, which holds no pointers.
    let link = unsafe { bpf(LINK_CREATE, &mut link) }.context("attach a program")?;
    Ok(new_descriptor(link))
}

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

/// Runs a program `repeat` times over one frame, which it may change, and returns the mean nanoseconds of a run.
pub(crate) fn run_repeated(program: BorrowedFd<'_>, frame: &[u8], repeat: u32) -> Result<u32> {
    let mut run = Run {
        program: program.as_raw_fd(),
        data_size_in: u32::try_from(frame.len()).context("length of the frame")?,
        data_in: frame.as_ptr().addr() as u64,
        repeat,
        ..Run::default()
    };
    // SAFETY: the attributes are those of BPF_PROG_TEST_RUN; the frame lives over the call and is only read: the program
    // runs on the kernel's copy of it.
    unsafe { bpf(PROG_TEST_RUN, &mut run) }.context("run a program")?;
    Ok(run.duration)
}

/// Runs an XDP program `repeat` times over copies of `frame`, as if they had arrived at an interface of the calling
/// thread's namespace, and does what it says with each (`BPF_F_TEST_XDP_LIVE_FRAMES`, Linux 5.18).
pub(crate) fn run_live(program: &OwnedFd, frame: &[u8], ifindex: u32, repeat: u32) -> Result<()> {
    const LIVE_FRAMES: u32 = 1 << 1;
    let size = u32::try_from(frame.len()).context("length of the frame")?;
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0_u32, size, 0, ifindex, 0, 0];
    let mut run = Run {
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
    unsafe { bpf(PROG_TEST_RUN, &mut run) }.context("run a program over live frames")?;
    Ok(())
}

/// # Safety
/// `attributes` must be the leading part of `union bpf_attr` of the command, and pointers in it must be valid. The kernel
/// writes results into it.
unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    let size = size_of::<T>();
    // SAFETY: pointer and size are those of `attributes`; the caller promises what is in it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size) };
    match i32::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

fn new_descriptor(descriptor: i32) -> OwnedFd {
    // SAFETY: the kernel just made the descriptor for us and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
