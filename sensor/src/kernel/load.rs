//! Loads the kernel programs from the object in the binary and sizes their maps.

mod error;
mod options;

use std::collections::HashMap;
use std::fmt;
use std::os::fd::AsFd;

use aya::maps::{HashMap as KernelMap, LpmTrie, Map, MapData, PerCpuArray, ProgramArray};
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use sensor_ebpf::block::{BLOCK_RULES, BLOCK_SLOTS};
use sensor_ebpf::flow::Point;
use sensor_ebpf::heads::HeadLimits;
use sensor_ebpf::layout::{ABI_SYMBOL, WAYS};
use sensor_ebpf::parse::Layer;
use sensor_ebpf::settings::{POINT_SLOTS, global, map};

pub use self::error::LoadError;
pub use self::options::Options;
use super::block::BlockMaps;
use super::heads::HeadRing;
use super::hints::{self, Hints};
use super::log::KernelLog;
use super::maps::{Cache, Counters, Descriptors, RecordRing, Sizes, map_all};

/// The programs as an ELF file, built by `cargo xtask ebpf` (aya wants it aligned); `build.rs` names the file.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("LYNCEUS_OBJECT"));

/// Size of the ring of log lines, a power of two: some hundred lines.
const LOG_BYTES: u32 = 128 << 10;

/// The three hooks' programs.
pub(super) mod program {
    pub(in crate::kernel) const XDP: &str = "lynceus_xdp";
    pub(in crate::kernel) const INGRESS: &str = "lynceus_in";
    pub(in crate::kernel) const EGRESS: &str = "lynceus_out";
    /// In the order of `sensor_ebpf::settings::next`; the last one only with [`super::Options::log`].
    pub(in crate::kernel) const XDP_NEXT: [&str; 4] = [
        "lynceus_xparse",
        "lynceus_xcount",
        "lynceus_xsend",
        "lynceus_xlog",
    ];
    pub(in crate::kernel) const TC_NEXT: [&str; 4] = [
        "lynceus_tparse",
        "lynceus_tcount",
        "lynceus_tsend",
        "lynceus_tlog",
    ];
}

/// The loaded programs and their attachments. Dropping it detaches everything.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    points: KernelMap<MapData, u32, u32>,
    /// Held because the kernel empties a program array when its last descriptor closes.
    xdp_next: ProgramArray<MapData>,
    tc_next: ProgramArray<MapData>,
    slots: HashMap<Point, u32>,
    sizes: Sizes,
    /// With the programs of the log.
    log: bool,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Kernel")
            .field("sizes", &self.sizes)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// What user space reads. Each part is used by one thread.
#[derive(Debug)]
pub struct Readers {
    /// One a CPU, in the order of their numbers.
    pub rings: Vec<RecordRing>,
    pub cache: Cache,
    pub counters: Counters,
    pub heads: HeadRing,
    pub hints: Hints,
    /// `None` unless [`Options::log`] was set.
    pub log: Option<KernelLog>,
}

impl Kernel {
    /// Loads the programs; attaches nothing.
    ///
    /// # Errors
    /// [`LoadError`]; the verifier's own words are in the source chain.
    pub fn load(options: &Options) -> Result<(Self, Readers), LoadError> {
        Self::load_object(OBJECT, options)
    }

    /// Loads another object than the built-in one, as `cargo xtask ebpf --check` and the benchmark do.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_object(object: &[u8], options: &Options) -> Result<(Self, Readers), LoadError> {
        let sizes = sizes(options)?;
        let set_mask = sizes.sets - 1;
        let seed = match options.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let limits = options.heads.unwrap_or_default();
        let limits = head_limits(&limits);
        let outer = u8::from(options.layer == Layer::Outer);
        let heads_on = u8::from(options.heads.is_some());
        // Reads per period of 2^24 ns.
        let clock_reads = u32::try_from(u64::from(options.precise_times) * (1 << 24) / 1_000_000_000)
            .unwrap_or(u32::MAX)
            .max(u32::from(options.precise_times != 0));
        let log = u8::from(options.log);
        let (level, log_bytes) = match options.log {
            true => (aya_log::Level::Info as u8, LOG_BYTES),
            // The least that the kernel accepts.
            false => (0, 4096),
        };
        let weak_order = u8::from(!cfg!(target_arch = "x86_64"));
        let cpus = u32::from(sizes.cpus);
        let abi = 0u32;
        let block = u8::from(options.block);
        // The least that the kernel accepts where nothing is to be blocked.
        let (rules, slots) = if options.block {
            (BLOCK_RULES, BLOCK_SLOTS)
        } else {
            (1, 1)
        };
        let mut loader = EbpfLoader::new();
        loader
            .override_global(ABI_SYMBOL, &abi, true)
            .override_global(global::SET_MASK, &set_mask, true)
            .override_global(global::RING_SLOTS, &sizes.ring_slots, true)
            .override_global(global::HASH_KEYS, &seed, true)
            .override_global(global::OUTER_LAYER, &outer, true)
            .override_global(global::HEADS_ON, &heads_on, true)
            .override_global(global::HEAD_LIMITS, &limits, true)
            .override_global(global::CLOCK_READS, &clock_reads, true)
            .override_global(global::WEAK_ORDER, &weak_order, true)
            .override_global(global::BLOCK, &block, true)
            .map_max_entries(map::BLOCK_V4, rules)
            .map_max_entries(map::BLOCK_V6, rules)
            .map_max_entries(map::BLOCK_COUNTS, slots)
            .override_global(global::LOG, &log, true)
            .override_global(aya_log::LEVEL, &level, true)
            .map_max_entries(map::LOG, log_bytes)
            .map_max_entries(map::CACHE, sizes.sets * cpus)
            .map_max_entries(map::COLD, sizes.sets * WAYS as u32 * cpus)
            .map_max_entries(map::FLOW_HEADS, sizes.sets * WAYS as u32 * cpus)
            .map_max_entries(map::RING, sizes.ring_slots * cpus)
            .map_max_entries(map::CPUS, cpus)
            .map_max_entries(map::COUNTERS, POINT_SLOTS * cpus);
        let mut ebpf = loader
            .load(object)
            .map_err(|error| LoadError::Object(Box::new(error)))?;

        let (rings, cache, counters) = {
            let fd = |name| array_fd(&ebpf, name);
            let descriptors = Descriptors {
                cache: fd(map::CACHE)?,
                cold: fd(map::COLD)?,
                ring: fd(map::RING)?,
                cpus: fd(map::CPUS)?,
                counters: fd(map::COUNTERS)?,
            };
            map_all(&descriptors, sizes).map_err(LoadError::Map)?
        };
        let heads = take(&mut ebpf, map::HEADS)?;
        let heads = HeadRing::new(heads).map_err(|source| open_map(map::HEADS, source))?;
        let (fragments, sources) = (
            take(&mut ebpf, hints::FRAGMENTS)?,
            take(&mut ebpf, hints::SOURCES)?,
        );
        let hints = Hints::new(fragments, sources).map_err(|source| open_map(hints::FRAGMENTS, source))?;
        let points = take(&mut ebpf, map::POINTS)?;
        let points = KernelMap::try_from(points).map_err(|source| open_map(map::POINTS, source))?;
        let xdp_next = program_array(&mut ebpf, map::XDP_NEXT)?;
        let tc_next = program_array(&mut ebpf, map::TC_NEXT)?;
        // Held while programs are loaded: they refer to its map.
        let log = options.log.then(|| EbpfLogger::init(&mut ebpf)).transpose();
        let log = log.map_err(|source| LoadError::Log(Box::new(source)))?;
        let kernel = Self {
            ebpf,
            points,
            xdp_next,
            tc_next,
            slots: HashMap::new(),
            sizes,
            log: options.log,
        };
        let readers = Readers {
            rings,
            cache,
            counters,
            heads,
            hints,
            log: log.map(KernelLog),
        };
        Ok((kernel, readers))
    }

    /// Sizes of the maps.
    #[must_use]
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Slots of the counters of the points that were registered.
    #[must_use]
    pub const fn slots(&self) -> &HashMap<Point, u32> {
        &self.slots
    }

    /// Gives a point its own counters. Attaching does it; packets of a point without slot count in slot 0.
    ///
    /// # Errors
    /// The map cannot be written. Beyond [`POINT_SLOTS`] points the rest share slot 0.
    pub fn register(&mut self, point: Point) -> Result<u32, LoadError> {
        if let Some(slot) = self.slots.get(&point) {
            return Ok(*slot);
        }
        let next = u32::try_from(self.slots.len())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let slot = if next < POINT_SLOTS { next } else { 0 };
        if slot != 0 {
            self.points
                .insert(point.pack(), slot, 0)
                .map_err(|source| open_map(map::POINTS, source))?;
        }
        self.slots.insert(point, slot);
        Ok(slot)
    }

    /// The rules of what is to be blocked; needs [`Options::block`]. Take it once.
    ///
    /// # Errors
    /// The object lacks a map.
    pub fn take_block(&mut self) -> Result<BlockMaps, LoadError> {
        let ebpf = &mut self.ebpf;
        Ok(BlockMaps {
            v4: LpmTrie::try_from(take(ebpf, map::BLOCK_V4)?)
                .map_err(|source| open_map(map::BLOCK_V4, source))?,
            v6: LpmTrie::try_from(take(ebpf, map::BLOCK_V6)?)
                .map_err(|source| open_map(map::BLOCK_V6, source))?,
            counts: PerCpuArray::try_from(take(ebpf, map::BLOCK_COUNTS)?)
                .map_err(|source| open_map(map::BLOCK_COUNTS, source))?,
        })
    }

    /// How many programs are behind a hook's own.
    const fn behind(&self) -> usize {
        if self.log {
            program::XDP_NEXT.len()
        } else {
            program::XDP_NEXT.len() - 1
        }
    }

    /// The XDP program, loaded with those behind it.
    ///
    /// # Errors
    /// The object lacks one or the verifier refused it.
    pub fn xdp(&mut self) -> Result<&mut Xdp, LoadError> {
        for (index, name) in (0u32..).zip(&program::XDP_NEXT[..self.behind()]) {
            let next = load::<Xdp>(&mut self.ebpf, name)?;
            set(&mut self.xdp_next, index, next.fd(), name)?;
        }
        load(&mut self.ebpf, program::XDP)
    }

    /// The TC program of a direction, loaded with those behind it.
    ///
    /// # Errors
    /// The object lacks one or the verifier refused it.
    pub fn classifier(&mut self, egress: bool) -> Result<&mut SchedClassifier, LoadError> {
        for (index, name) in (0u32..).zip(&program::TC_NEXT[..self.behind()]) {
            let next = load::<SchedClassifier>(&mut self.ebpf, name)?;
            set(&mut self.tc_next, index, next.fd(), name)?;
        }
        load(
            &mut self.ebpf,
            if egress { program::EGRESS } else { program::INGRESS },
        )
    }

    /// Instructions that the verifier walked for each loaded program: its limit is 1,000,000 (Linux 5.16 tells).
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, Option<u32>)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some((name.to_owned(), info.verified_instruction_count()))
            })
            .collect()
    }
}

fn find<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| <&mut P>::try_from(program).ok())
        .ok_or(LoadError::Missing {
            kind: "program",
            name,
        })
}

/// The two kinds of programs, which aya loads by functions of the same form.
trait Loadable: Sized {
    fn is_loaded(&self) -> bool;
    fn load_it(&mut self) -> Result<(), ProgramError>;
}

impl Loadable for Xdp {
    fn is_loaded(&self) -> bool {
        self.fd().is_ok()
    }

    fn load_it(&mut self) -> Result<(), ProgramError> {
        self.load()
    }
}

impl Loadable for SchedClassifier {
    fn is_loaded(&self) -> bool {
        self.fd().is_ok()
    }

    fn load_it(&mut self) -> Result<(), ProgramError> {
        self.load()
    }
}

/// A program, loaded once.
fn load<'a, P: Loadable>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program>,
{
    let program: &mut P = find(ebpf, name)?;
    if !program.is_loaded() {
        program.load_it().map_err(|source| LoadError::Verifier {
            name,
            source: Box::new(source),
        })?;
    }
    Ok(program)
}

fn program_array(ebpf: &mut Ebpf, name: &'static str) -> Result<ProgramArray<MapData>, LoadError> {
    ProgramArray::try_from(take(ebpf, name)?).map_err(|source| open_map(name, source))
}

fn set(
    array: &mut ProgramArray<MapData>,
    index: u32,
    fd: Result<&aya::programs::ProgramFd, ProgramError>,
    name: &'static str,
) -> Result<(), LoadError> {
    let fd = fd.map_err(|source| LoadError::Verifier {
        name,
        source: Box::new(source),
    })?;
    array.set(index, fd, 0).map_err(|source| open_map(name, source))
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name)
        .ok_or(LoadError::Missing { kind: "map", name })
}

fn array_fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<std::os::fd::BorrowedFd<'a>, LoadError> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data.fd().as_fd()),
        _ => Err(LoadError::Missing {
            kind: "array map",
            name,
        }),
    }
}

fn open_map(name: &'static str, source: aya::maps::MapError) -> LoadError {
    LoadError::OpenMap {
        name,
        source: Box::new(source),
    }
}

fn sizes(options: &Options) -> Result<Sizes, LoadError> {
    check("cache_entries", options.cache_entries, 2, 1 << 22)?;
    check("ring_slots", options.ring_slots, 4, 1 << 22)?;
    // Possible and not online CPUs: one that comes later must not go unseen.
    let cpus = aya::util::nr_cpus().map_err(|(file, error)| LoadError::Cpus(file, error))?;
    Ok(Sizes {
        cpus: u16::try_from(cpus).map_err(|_| LoadError::TooManyCpus(cpus))?,
        sets: options.cache_entries / WAYS as u32,
        ring_slots: options.ring_slots,
    })
}

fn check(name: &'static str, value: u32, least: u32, most: u32) -> Result<(), LoadError> {
    if value.is_power_of_two() && (least..=most).contains(&value) {
        return Ok(());
    }
    Err(LoadError::Size {
        name,
        value,
        least,
        most,
    })
}

fn random_seed() -> Result<[u64; 8], LoadError> {
    let mut seed = [0u64; 8];
    for word in &mut seed {
        let mut bytes = [0u8; 8];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
            .map_err(|_| LoadError::Random)?;
        *word = u64::from_ne_bytes(bytes);
    }
    Ok(seed)
}

/// The bytes of [`HeadLimits`] as the programs read them.
fn head_limits(limits: &HeadLimits) -> [u8; size_of::<HeadLimits>()] {
    let mut bytes = [0; size_of::<HeadLimits>()];
    bytes[0..8].copy_from_slice(&limits.source_interval.to_ne_bytes());
    bytes[8..16].copy_from_slice(&limits.source_credit.to_ne_bytes());
    bytes[16..18].copy_from_slice(&limits.bytes.to_ne_bytes());
    bytes[18] = limits.packets;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_be_powers_of_two() {
        let options = Options {
            cache_entries: 3000,
            ..Options::default()
        };
        let error = sizes(&options).expect_err("3000 is no power of two").to_string();
        assert!(
            error.contains("cache_entries") && error.contains("3000"),
            "{error}"
        );
    }

    #[test]
    fn head_limits_lie_as_in_the_struct() {
        let bytes = head_limits(&HeadLimits::new(3, 4096, 10, 20));
        assert_eq!(bytes.len(), 24);
        assert_eq!(
            u64::from_ne_bytes(bytes[..8].try_into().expect("8 bytes")),
            100_000_000
        );
        assert_eq!((bytes[16], bytes[17], bytes[18]), (0, 16, 3));
        assert_eq!(std::mem::offset_of!(HeadLimits, packets), 18);
    }
}
