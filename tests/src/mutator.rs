//! Many flows through one program with `BPF_PROG_TEST_RUN`: a program made by hand gives each packet another source and
//! then calls the program under test. And what that is compared with: a program that does nothing, and the usual design
//! of a flow meter, a `BPF_MAP_TYPE_HASH` with `bpf_ktime_get_ns`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Result, ensure};

use crate::bpf::{Counter, Kind, Map, MapType, ProgramType, insn, load_as, run_repeated};

/// Flow numbers of a [`Flows::Table`]; the sequence is repeated.
pub const TABLE: usize = 1 << 20;
/// Place of the IPv4 source address and of the source port behind an IPv4 header without options.
const SOURCE: i16 = 26;
const SOURCE_PORT: i16 = 34;
const THROUGH_PORTS: i32 = 38;

/// Where the program under test would hook in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Xdp,
    Tc,
}

impl Layer {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "XDP",
            Self::Tc => "TC",
        }
    }

    const fn program_type(self) -> ProgramType {
        match self {
            Self::Xdp => ProgramType::Xdp,
            Self::Tc => ProgramType::Classifier,
        }
    }

    /// Places of `data` and `data_end` in the context.
    const fn data(self) -> (i16, i16) {
        match self {
            Self::Xdp => (0, 4),
            Self::Tc => (76, 80),
        }
    }

    /// "Go on".
    const fn verdict(self) -> i32 {
        match self {
            Self::Xdp => 2,
            Self::Tc => -1,
        }
    }

    fn load(self, instructions: &[u64]) -> Result<OwnedFd> {
        let program_type = self.program_type();
        load_as(program_type, Kind::of_the_sensor(program_type), instructions)
    }
}

/// Which flow packet `n` belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Flows<'a> {
    /// Flow `n`: each packet is a new one.
    New,
    /// The flow at place `n` modulo [`TABLE`].
    Table(&'a [u32]),
}

/// The program that changes packets.
#[derive(Debug)]
pub struct Mutator {
    next: Counter,
    _table: Option<Map>,
    target: Map,
    program: OwnedFd,
}

impl Mutator {
    /// # Errors
    /// A table of another length than [`TABLE`]; the kernel refuses a map or the program.
    pub fn new(layer: Layer, flows: Flows<'_>) -> Result<Self> {
        let next = Counter::create()?;
        let target = Map::create(MapType::Programs, 4, 4, 1)?;
        let mut code = Code::default();
        code.add([insn(0xbf, 6, 1, 0, 0)]); // r6 = context
        code.add(next.look_up());
        code.leave_if(insn(0x15, 0, 0, 0, 0)); // r0 == 0
        code.add([
            insn(0x79, 7, 0, 0, 0), // r7 = n
            insn(0xbf, 2, 7, 0, 0),
            insn(0x07, 2, 0, 0, 1),
            insn(0x7b, 0, 2, 0, 0), // n + 1
        ]);
        let table = match flows {
            Flows::New => None,
            Flows::Table(flows) => {
                ensure!(flows.len() == TABLE, "a table of {} flows", flows.len());
                let bytes: Vec<u8> = flows.iter().flat_map(|flow| flow.to_ne_bytes()).collect();
                let table = Map::create(MapType::Array, 4, (TABLE * 4) as u32, 1)?;
                table.write(&[0; 4], &bytes)?;
                code.add(table.look_up_first());
                code.leave_if(insn(0x15, 0, 0, 0, 0));
                code.add([
                    insn(0x57, 7, 0, 0, TABLE as i32 - 1), // r7 &= TABLE - 1
                    insn(0x67, 7, 0, 0, 2),                // r7 *= 4
                    insn(0x0f, 0, 7, 0, 0),                // r0 += r7
                    insn(0x61, 7, 0, 0, 0),                // r7 = *(u32 *)r0
                ]);
                Some(table)
            }
        };
        code.packet(layer);
        // Both ports at once: a load of both that follows a store of one waits for the cache, and no card writes so.
        code.add([
            insn(0x63, 2, 7, SOURCE, 0),
            insn(0x61, 5, 2, SOURCE_PORT, 0),
            insn(0x77, 5, 0, 0, 16),
            insn(0x67, 5, 0, 0, 16), // r5 = destination port
            insn(0x57, 7, 0, 0, 0xffff),
            insn(0x4f, 5, 7, 0, 0),
            insn(0x63, 2, 5, SOURCE_PORT, 0),
            insn(0xbf, 1, 6, 0, 0), // r1 = context
        ]);
        code.add(target.put_in_register(2));
        code.add([
            insn(0xb7, 3, 0, 0, 0),  // r3 = 0
            insn(0x85, 0, 0, 0, 12), // call tail_call
        ]);
        let program = layer.load(&code.finish(layer))?;
        Ok(Self {
            next,
            _table: table,
            target,
            program,
        })
    }

    /// Runs `target` over `packets` packets that differ from `frame` in their source, from packet number `from` on, and
    /// returns the mean nanoseconds of one, this program's own share included.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn run(&self, target: BorrowedFd<'_>, frame: &[u8], from: u64, packets: u32) -> Result<u32> {
        self.next.set(from)?;
        self.target.write(&[0; 4], &target.as_raw_fd().to_ne_bytes())?;
        let mean = run_repeated(self.program.as_fd(), frame, packets)?;
        let ran = self.next_number()? - from;
        ensure!(ran == u64::from(packets), "{ran} of {packets} packets ran");
        Ok(mean)
    }

    fn next_number(&self) -> Result<u64> {
        self.next.read()
    }
}

/// A program that does nothing.
///
/// # Errors
/// The kernel refuses it.
pub fn empty(layer: Layer) -> Result<OwnedFd> {
    layer.load(&Code::default().finish(layer))
}

/// A flow meter as they are usually built, with less than ours records: the five-tuple of each direction by itself,
/// packets, bytes, first and last; no options, no tags, no flags, additions that are not atomic.
#[derive(Debug)]
pub struct HashDesign {
    _flows: Map,
    refused: Counter,
    program: OwnedFd,
}

impl HashDesign {
    /// # Errors
    /// The kernel refuses a map or the program.
    pub fn new(layer: Layer, entries: u32) -> Result<Self> {
        const KEY: i16 = -16;
        const VALUE: i16 = -48;
        let flows = Map::create(MapType::Hash, 16, 32, entries)?;
        let refused = Counter::create()?;
        let mut code = Code::default();
        code.add([insn(0xbf, 6, 1, 0, 0)]);
        code.packet(layer);
        code.add([insn(0x69, 1, 2, 12, 0)]); // EtherType
        code.leave_if(insn(0x55, 1, 0, 0, 0x0008));
        code.add([insn(0x71, 1, 2, 14, 0)]); // version and header length
        code.leave_if(insn(0x55, 1, 0, 0, 0x45));
        code.add([
            insn(0x61, 1, 2, SOURCE, 0),
            insn(0x63, 10, 1, KEY, 0),
            insn(0x61, 1, 2, SOURCE + 4, 0), // destination
            insn(0x63, 10, 1, KEY + 4, 0),
            insn(0x61, 1, 2, SOURCE_PORT, 0), // both ports
            insn(0x63, 10, 1, KEY + 8, 0),
            insn(0x71, 1, 2, 23, 0), // protocol
            insn(0x63, 10, 1, KEY + 12, 0),
            insn(0x69, 8, 2, 16, 0), // r8 = total length
            insn(0xdc, 8, 0, 0, 16), // to host order
            insn(0x85, 0, 0, 0, 5),  // call ktime_get_ns
            insn(0xbf, 9, 0, 0, 0),  // r9 = now
            insn(0xbf, 2, 10, 0, 0),
            insn(0x07, 2, 0, 0, KEY as i32),
        ]);
        code.add(flows.put_in_register(1));
        code.add([
            insn(0x85, 0, 0, 0, 1), // call map_lookup_elem
            insn(0x15, 0, 0, 9, 0), // if r0 == 0 it is a new flow
            insn(0x79, 1, 0, 0, 0),
            insn(0x07, 1, 0, 0, 1),
            insn(0x7b, 0, 1, 0, 0), // packets
            insn(0x79, 1, 0, 8, 0),
            insn(0x0f, 1, 8, 0, 0),
            insn(0x7b, 0, 1, 8, 0),  // bytes
            insn(0x7b, 0, 9, 24, 0), // last
            insn(0xb7, 0, 0, 0, 0),
        ]);
        code.leave_if(insn(0x15, 0, 0, 0, 0));
        code.add([
            insn(0x7a, 10, 0, VALUE, 1),
            insn(0x7b, 10, 8, VALUE + 8, 0),
            insn(0x7b, 10, 9, VALUE + 16, 0),
            insn(0x7b, 10, 9, VALUE + 24, 0),
            insn(0xbf, 2, 10, 0, 0),
            insn(0x07, 2, 0, 0, KEY as i32),
            insn(0xbf, 3, 10, 0, 0),
            insn(0x07, 3, 0, 0, VALUE as i32),
            insn(0xb7, 4, 0, 0, 0),
        ]);
        code.add(flows.put_in_register(1));
        code.add([insn(0x85, 0, 0, 0, 2)]); // call map_update_elem
        code.leave_if(insn(0x15, 0, 0, 0, 0));
        code.add(refused.look_up());
        code.leave_if(insn(0x15, 0, 0, 0, 0));
        code.add([insn(0xb7, 1, 0, 0, 1), insn(0xdb, 0, 1, 0, 0)]);
        let program = layer.load(&code.finish(layer))?;
        Ok(Self {
            _flows: flows,
            refused,
            program,
        })
    }

    #[must_use]
    pub fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }

    /// Packets of new flows that the full map refused.
    ///
    /// # Errors
    /// The kernel refuses the look-up.
    pub fn refused(&self) -> Result<u64> {
        self.refused.read()
    }
}

/// Instructions with jumps to the end.
#[derive(Default)]
struct Code {
    instructions: Vec<u64>,
    leaving: Vec<usize>,
}

impl Code {
    fn add<const N: usize>(&mut self, instructions: [u64; N]) {
        self.instructions.extend(instructions);
    }

    /// Adds a conditional jump whose offset is not known yet.
    fn leave_if(&mut self, condition: u64) {
        self.leaving.push(self.instructions.len());
        self.instructions.push(condition);
    }

    /// `r2 = data` where the frame reaches through the ports; `r6` is the context. Clobbers r3, r4.
    fn packet(&mut self, layer: Layer) {
        let (data, end) = layer.data();
        self.add([
            insn(0x61, 2, 6, data, 0),
            insn(0x61, 3, 6, end, 0),
            insn(0xbf, 4, 2, 0, 0),
            insn(0x07, 4, 0, 0, THROUGH_PORTS),
        ]);
        self.leave_if(insn(0x2d, 4, 3, 0, 0)); // r4 > r3
    }

    fn finish(mut self, layer: Layer) -> Vec<u64> {
        let end = self.instructions.len();
        for at in self.leaving {
            self.instructions[at] |= ((end - at - 1) as u64) << 16;
        }
        self.instructions.push(insn(0xb7, 0, 0, 0, layer.verdict()));
        self.instructions.push(insn(0x95, 0, 0, 0, 0));
        self.instructions
    }
}
