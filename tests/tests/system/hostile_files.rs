//! Law 4: no capture, however broken, panics, hangs or loses a packet without counting it.
//!
//! Every shared capture is changed at random (the same way on every run), cut, and read as a whole: reader, parser,
//! decoders, flow table, JSON.

use std::fs;
use std::time::{Duration, Instant};

use lynceus_console::json::flow::write_line;
use lynceus_sensor::flow_table::{Expiry, FlowTableConfig, Timeouts, WhenFull};
use lynceus_sensor::source::pcap::{Depth, PcapSource};
use lynceus_sensor::source::{Event, Source, Status};
use lynceus_tests::fixtures::{captures, shared};

/// Time that the whole test may take; a change that comes later is left out.
const TIME: Duration = Duration::from_secs(60);
/// A single file of some megabytes may never take so long, in a debug build on a busy machine.
const TOO_LONG: Duration = Duration::from_secs(120);

/// xorshift64*
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

#[test]
fn changed_captures_are_read_to_their_end() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("changed");
    let begin = Instant::now();
    let mut chance = Chance(0x0bad_cafe_dead_beef);
    let (mut files, mut faults) = (0, 0);
    // Several rounds, so that the first change of every capture comes before the second of any.
    for round in 0..8 {
        for capture in captures(&shared).expect("the index") {
            if begin.elapsed() > TIME {
                break;
            }
            let mut bytes = fs::read(&capture.path).expect("a capture");
            // Large ones say nothing that their beginning does not.
            bytes.truncate(200_000);
            for _ in 0..1 + bytes.len() / 2000 * round {
                let at = chance.below(bytes.len());
                bytes[at] = chance.below(256) as u8;
            }
            if round % 2 == 1 {
                bytes.truncate(bytes.len() - chance.below(bytes.len()));
            }
            fs::write(&path, &bytes).expect("the changed capture");
            let start = Instant::now();
            faults += read_all(&path);
            assert!(
                start.elapsed() < TOO_LONG,
                "{} changed in round {round} hangs",
                capture.id
            );
            files += 1;
        }
    }
    println!("{files} changed files, {faults} of them with a fault that was named");
    assert!(files > 86, "only {files} files in {TIME:?}");
    assert!(faults > 0, "no change broke a file");
}

/// Reads a file to its end; returns the number of faults. Every packet is in a flow or refused.
fn read_all(path: &std::path::Path) -> usize {
    let config = FlowTableConfig {
        expiry: Expiry::Timeouts(Timeouts::default()),
        max_flows: 64,
        when_full: WhenFull::Evict,
    };
    let source = PcapSource::new([path.to_owned()], config, Depth::Deep);
    let mut source = source.with_decoders(sensor_ebpf::heads::HeadLimits::DEFAULT);
    let (mut events, mut lines) = (Vec::new(), Vec::new());
    let (mut faults, mut in_flows) = (0, 0);
    loop {
        let status = source.next(&mut events);
        for event in events.drain(..) {
            if let Event::Flow(update) = event {
                in_flows += update.new_out.packets + update.new_back.packets;
                lines.clear();
                write_line(&mut lines, &update);
                assert!(serde_json::from_slice::<serde_json::Value>(&lines).is_ok());
            }
        }
        match status {
            Ok(Status::Ended) => break,
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().contains("changed: byte "), "{error}");
                faults += 1;
            }
        }
    }
    let counts = source.counts();
    let refused: u64 = counts.refused.iter().map(|tally| tally.packets).sum();
    assert_eq!(counts.seen.packets, in_flows + refused);
    faults
}
