//! The sensor's programs with one set of options each, and the thread that takes out what they write.

use std::hint::black_box;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use lynceus_sensor::kernel::heads::HeadRing;
use lynceus_sensor::kernel::hints::Hints;
use lynceus_sensor::kernel::load::{Kernel, Options};
use lynceus_sensor::kernel::maps::{Cache, Counters, RecordRing};
use lynceus_tests::mutator::Layer;
use lynceus_tests::traffic::pin_to_cpu;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::{HookDirection, Point};

/// One set of options of the sensor.
pub(super) struct Design {
    pub(super) name: &'static str,
    slot: u32,
    kernel: Kernel,
    pub(super) cache: Cache,
    counters: Counters,
    /// Held: the programs refer to its maps, and are loaded later.
    _hints: Hints,
}

pub(super) struct Designs {
    pub(super) ours: Vec<Design>,
    stop: Arc<AtomicBool>,
    drain: Option<JoinHandle<Result<()>>>,
}

impl Designs {
    pub(super) fn load(object: Option<&Path>) -> Result<Self> {
        let object = object
            .map(|path| std::fs::read(path).with_context(|| format!("failed to read {}", path.display())))
            .transpose()?;
        let bare = Options {
            heads: None,
            precise_times: 0,
            ..Options::default()
        };
        let sized = |bits: u32| Options {
            cache_entries: 1 << bits,
            ..bare
        };
        let (mut ours, mut rings, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for (name, options) in [
            (
                "as it comes: 2^13 entries, heads, precise handshakes",
                Options::default(),
            ),
            ("2^13 entries, no heads, coarse handshakes", sized(13)),
            ("2^12 entries, same", sized(12)),
            ("2^14 entries, same", sized(14)),
            // A SYN of a new flow then writes, and its record carries, the cold half.
            (
                "2^13 entries, no heads, every handshake precise (cold fields)",
                Options {
                    precise_times: u32::MAX,
                    ..sized(13)
                },
            ),
        ] {
            let (mut kernel, readers) = match &object {
                Some(object) => Kernel::load_object(object, &options)?,
                None => Kernel::load(&options)?,
            };
            // Test runs happen at the loopback interface. A point that no one registered costs a look-up a packet.
            let slot = kernel.register(Point {
                ifindex: 1,
                direction: HookDirection::Ingress,
            })?;
            rings.extend(readers.rings);
            heads.push(readers.heads);
            ours.push(Design {
                name,
                slot,
                kernel,
                cache: readers.cache,
                counters: readers.counters,
                _hints: readers.hints,
            });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let drain = std::thread::spawn(move || drain(rings, heads, &stopped));
        Ok(Self {
            ours,
            stop,
            drain: Some(drain),
        })
    }
}

impl Design {
    pub(super) fn program(&mut self, layer: Layer) -> Result<BorrowedFd<'_>> {
        let program = match layer {
            Layer::Xdp => self.kernel.xdp()?.fd(),
            Layer::Tc => self.kernel.classifier(false)?.fd(),
        };
        Ok(program.context("the program is loaded")?.as_fd())
    }

    pub(super) fn counted(&self) -> PointCounters {
        self.counters.of_slot(self.slot)
    }
}

impl Drop for Designs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(drain) = self.drain.take() {
            let _ = drain.join();
        }
    }
}

/// Takes out what the programs on the other CPU write.
fn drain(mut rings: Vec<RecordRing>, mut heads: Vec<HeadRing>, stop: &AtomicBool) -> Result<()> {
    pin_to_cpu(1)?;
    while !stop.load(Ordering::Relaxed) {
        for ring in &mut rings {
            ring.drain_raw(usize::MAX, |entry| {
                black_box(entry);
            });
        }
        for ring in &mut heads {
            ring.drain(1 << 12, |head| {
                black_box(head);
            });
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}
