//! Made-up traces: what a client does with one server port in one window of an hour, and the letters of it.
//!
//! Malicious ones differ from good ones in what programs are known to do, not in a secret mark: where a polling program
//! and a channel look the same (both TLS, same clock), the model cannot tell them, and the table of results says so.

use std::time::Duration;

use lynceus_model::letters::{Stroke, Writer};
use lynceus_model::time::Timestamp;

use crate::random::Random;

/// Raise it when traces change: the weights name it.
pub(crate) const GENERATOR: u32 = 1;
const WINDOW: f64 = 3_600.0;
/// Letters stop at 512 characters, so more flows than this say nothing.
const MAX_FLOWS: usize = 300;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Command and control.
    CheckIn,
    Sleeper,
    LossyCheckIn,
    Bursts,
    Refused,
    Unanswered,
    /// All others.
    Browsing,
    Polling,
    Ntp,
    Mail,
    Streaming,
    Push,
    Telemetry,
    BackOff,
    Downloads,
    Sessions,
}

impl Kind {
    pub(crate) const ALL: [Self; 16] = [
        Self::CheckIn,
        Self::Sleeper,
        Self::LossyCheckIn,
        Self::Bursts,
        Self::Refused,
        Self::Unanswered,
        Self::Browsing,
        Self::Polling,
        Self::Ntp,
        Self::Mail,
        Self::Streaming,
        Self::Push,
        Self::Telemetry,
        Self::BackOff,
        Self::Downloads,
        Self::Sessions,
    ];

    pub(crate) const fn malicious(self) -> bool {
        matches!(
            self,
            Self::CheckIn
                | Self::Sleeper
                | Self::LossyCheckIn
                | Self::Bursts
                | Self::Refused
                | Self::Unanswered
        )
    }
}

pub(crate) struct Trace {
    pub kind: Kind,
    /// Bytes of ASCII.
    pub letters: Vec<u8>,
}

/// Which parameters are drawn: those of the held-out traces lie partly outside those of training.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Training,
    HeldOut,
}

/// `each` traces of each kind that have letters enough to be judged.
pub(crate) fn make(seed: u64, each: usize, world: World, min_characters: usize) -> Vec<Trace> {
    let mut traces = Vec::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let mut random = Random::new(seed ^ ((number as u64 + 1) << 40));
        let mut made = 0;
        while made < each {
            let letters = letters(&mut Maker::new(&mut random, world).make(kind));
            if letters.len() >= min_characters {
                traces.push(Trace { kind, letters });
                made += 1;
            }
        }
    }
    Random::new(seed).shuffle(&mut traces);
    traces
}

fn letters(flows: &mut [Flow]) -> Vec<u8> {
    flows.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut writer = Writer::default();
    for flow in flows.iter().take(MAX_FLOWS) {
        // Sorted, so none is late.
        let _ = writer.write(Stroke {
            start: Timestamp((flow.start * 1e9) as i64),
            duration: Duration::from_secs_f64(flow.duration),
            bytes: flow.bytes as u64,
        });
    }
    writer.letters().text.clone().into_bytes()
}

#[derive(Clone, Copy)]
struct Flow {
    start: f64,
    duration: f64,
    bytes: f64,
}

struct Maker<'a> {
    random: &'a mut Random,
    world: World,
    flows: Vec<Flow>,
}

impl<'a> Maker<'a> {
    const fn new(random: &'a mut Random, world: World) -> Self {
        Self {
            random,
            world,
            flows: Vec::new(),
        }
    }

    fn make(mut self, kind: Kind) -> Vec<Flow> {
        match kind {
            Kind::CheckIn => self.check_in(0.0, 0.05),
            Kind::LossyCheckIn => self.check_in(0.1, 0.35),
            Kind::Sleeper => self.sleeper(),
            Kind::Bursts => self.bursts(),
            Kind::Refused => self.refused(),
            Kind::Unanswered => self.unanswered(),
            Kind::Browsing => self.browsing(),
            Kind::Polling => self.polling(),
            Kind::Ntp => self.ntp(),
            Kind::Mail => self.mail(),
            Kind::Streaming => self.streaming(),
            Kind::Push => self.push(),
            Kind::Telemetry => self.telemetry(),
            Kind::BackOff => self.back_off(),
            Kind::Downloads => self.downloads(),
            Kind::Sessions => self.sessions(),
        }
        self.flows.retain(|flow| (0.0..WINDOW).contains(&flow.start));
        self.flows
    }

    /// One of the two worlds' values.
    fn either<T>(&self, training: T, held_out: T) -> T {
        match self.world {
            World::Training => training,
            World::HeldOut => held_out,
        }
    }

    fn flow(&mut self, start: f64, duration: f64, bytes: f64) {
        self.flows.push(Flow {
            start,
            duration: duration.max(0.0),
            bytes: bytes.max(40.0),
        });
    }

    fn is_full(&self, now: f64) -> bool {
        now >= WINDOW || self.flows.len() >= MAX_FLOWS
    }

    /// A beat's size and duration: a plain message, or one in TLS with its handshake.
    fn message(&mut self) -> (f64, f64) {
        let bytes = if self.random.chance(0.6) {
            self.random.scale(150.0, 1_100.0)
        } else {
            self.random.scale(1_500.0, 9_000.0)
        };
        (bytes, self.random.scale(0.02, 1.5))
    }

    /// The next gap: uniform jitter, or in the held-out world a normal one.
    fn jittered(&mut self, period: f64, jitter: f64) -> f64 {
        let off = match self.world {
            World::Training => self.random.between(-jitter, jitter),
            World::HeldOut => (self.random.normal() * jitter * 0.6).clamp(-0.9, 2.0),
        };
        period * (1.0 + off)
    }

    fn check_in(&mut self, least_lost: f64, most_lost: f64) {
        let (low, high) = self.either((0.8, 420.0), (0.5, 600.0));
        let period = self.random.scale(low, high);
        let jitter = self.random.between(0.0, self.either(0.3, 0.35));
        let lost = self.random.between(least_lost, most_lost);
        let (bytes, duration) = self.message();
        let mut now = self.random.between(0.0, period);
        while !self.is_full(now) {
            if !self.random.chance(lost) {
                let task = self.random.chance(0.03);
                let more = if task {
                    self.random.scale(2.0, 200.0)
                } else {
                    self.random.between(0.95, 1.05)
                };
                let slow = self.random.log_normal(1.0, 0.3) * if task { 3.0 } else { 1.0 };
                self.flow(now, duration * slow, bytes * more);
            }
            now += self.jittered(period, jitter);
        }
    }

    fn sleeper(&mut self) {
        let period = self.random.scale(0.8, self.either(60.0, 90.0));
        let jitter = self.random.between(0.0, 0.25);
        let (bytes, duration) = self.message();
        let mut now = self.random.between(0.0, 300.0);
        while !self.is_full(now) {
            for _ in 0..self.random.count(6, self.either(30, 45)) {
                let (slow, more) = (self.random.log_normal(1.0, 0.3), self.random.between(0.95, 1.05));
                self.flow(now, duration * slow, bytes * more);
                now += self.jittered(period, jitter);
            }
            now += self.random.scale(
                period * 4.0,
                f64::max(self.either(1_200.0, 1_800.0), period * 5.0),
            );
        }
    }

    /// Each beat is several flows, as a request for tasks and the sending of results.
    fn bursts(&mut self) {
        let period = self.random.scale(2.0, self.either(240.0, 300.0));
        let jitter = self.random.between(0.0, 0.2);
        let together = self.random.count(2, self.either(3, 4));
        let (bytes, duration) = self.message();
        let mut now = self.random.between(0.0, period);
        while !self.is_full(now) {
            for n in 0..together {
                let after = n as f64 * self.random.between(0.05, 0.4).min(period / 10.0);
                let (slow, more) = (self.random.log_normal(1.0, 0.3), self.random.between(0.95, 1.05));
                self.flow(now + after, duration * slow, bytes * more);
            }
            now += self.jittered(period, jitter);
        }
    }

    /// The server is gone; its host refuses. The operating system tries some times, the program waits and begins anew.
    fn refused(&mut self) {
        let quick = self.random.scale(0.3, self.either(2.5, 4.0));
        let tries = self.random.count(1, 3);
        let pause = self.random.scale(quick, self.either(60.0, 120.0));
        let bytes = self.random.between(80.0, 240.0);
        let duration = self.random.scale(0.001, 0.09);
        let mut now = self.random.between(0.0, pause);
        while !self.is_full(now) {
            for n in 0..tries {
                let slow = self.random.log_normal(1.0, 0.4);
                self.flow(now, duration * slow, bytes);
                let gap = if n + 1 == tries { pause } else { quick };
                now += self.jittered(gap, 0.03);
            }
        }
    }

    /// Nobody answers: each attempt is a row of SYNs over some seconds, or a single one.
    fn unanswered(&mut self) {
        let long = self.random.scale(3.0, self.either(25.0, 60.0));
        let pauses = [self.random.scale(1.0, 90.0), self.random.scale(1.0, 90.0)];
        let two = self.random.chance(0.4);
        let bytes = self.random.between(100.0, 240.0);
        let split = self.random.chance(0.3);
        let (mut now, mut n) = (self.random.between(0.0, 30.0), 0);
        while !self.is_full(now) {
            self.flow(
                now,
                if split { 0.0 } else { long },
                if split { 48.0 } else { bytes },
            );
            let pause = pauses[if two { n % 2 } else { 0 }];
            now += self.jittered(long + pause, 0.02);
            n += 1;
        }
    }

    fn browsing(&mut self) {
        let think = self.random.scale(6.0, self.either(90.0, 120.0));
        // Browsers open many connections within milliseconds, and use few of them.
        let most = self.random.count(1, 30);
        let apart = self.random.scale(self.either(0.002, 0.001), 0.8);
        let typical = self.random.scale(1_500.0, 40_000.0);
        let mut now = self.random.between(0.0, 600.0);
        while !self.is_full(now) {
            for _ in 0..self.random.count(1, most) {
                let start = now + self.random.exponential(apart);
                let (slow, bytes) = (
                    self.random.log_normal(1.2, 1.6),
                    self.random.log_normal(typical, 1.4),
                );
                self.flow(start, slow, bytes.max(200.0));
            }
            now += self.random.log_normal(think, self.either(1.2, 1.0));
            if self.random.chance(0.05) {
                now += self.random.exponential(600.0);
            }
        }
    }

    /// A program that asks its server by the clock, and more often while somebody uses it.
    fn polling(&mut self) {
        let period = self
            .random
            .pick(&[10.0, 15.0, 20.0, 30.0, 60.0, 90.0, 120.0, 300.0]);
        let other = self.random.between(0.8, 1.25);
        let period: f64 = period * self.either(1.0, other);
        let jitter = self.random.between(0.0, 0.06);
        let plain = self.random.chance(0.1);
        let bytes = if plain {
            self.random.scale(500.0, 1_100.0)
        } else {
            self.random.scale(2_500.0, 30_000.0)
        };
        let duration = self.random.scale(0.1, (period * 0.9).min(60.0));
        let used = if self.random.chance(0.4) {
            0.0
        } else {
            self.random.between(0.05, 0.5)
        };
        let mut now = self.random.between(0.0, period);
        while !self.is_full(now) {
            let (slow, more) = (
                self.random.log_normal(1.0, 0.5),
                self.random.log_normal(1.0, 0.25),
            );
            self.flow(now, duration * slow, bytes * more);
            if self.random.chance(used) {
                for _ in 0..self.random.count(1, 4) {
                    let start = now + self.random.between(0.0, period);
                    let (slow, more) = (self.random.log_normal(1.0, 1.0), self.random.log_normal(1.5, 1.0));
                    self.flow(start, duration * slow, bytes * more);
                }
            }
            now += self.jittered(period, jitter);
        }
    }

    fn ntp(&mut self) {
        let period = self.random.pick(&[64.0, 128.0, 256.0]);
        let mut now = self.random.between(0.0, 64.0);
        for _ in 0..self.random.pick(&[0, 4, 8]) {
            let quick = self.random.between(0.005, 0.09);
            self.flow(now, quick, 152.0);
            now += self.either(2.0, 1.0);
        }
        while !self.is_full(now) {
            let quick = self.random.between(0.005, 0.09);
            self.flow(now, quick, 152.0);
            now += period + self.random.between(-2.0, 2.0);
        }
    }

    fn mail(&mut self) {
        let period = self.random.pick(&[30.0, 60.0, 120.0, 180.0, 300.0]);
        let folders = self.random.count(1, self.either(4, 5));
        let bytes = self.random.scale(2_500.0, 9_000.0);
        let mut now = self.random.between(0.0, period);
        while !self.is_full(now) {
            for _ in 0..folders {
                let start = now + self.random.between(0.0, 1.5);
                let arrived = if self.random.chance(0.1) {
                    self.random.scale(3.0, 300.0)
                } else {
                    1.0
                };
                let more = self.random.log_normal(1.0, 0.2) * arrived;
                let slow = self.random.log_normal(0.9, 0.7);
                self.flow(start, slow, bytes * more);
            }
            now += period + self.random.between(-0.5, 3.0);
        }
    }

    fn streaming(&mut self) {
        let chunk = self.random.between(2.0, self.either(8.0, 10.0));
        let jitter = self.random.between(0.05, 0.5);
        let bytes = self.random.scale(150_000.0, 3_000_000.0);
        let mut now = self.random.between(0.0, 120.0);
        for _ in 0..self.random.count(3, 12) {
            let (slow, more) = (self.random.log_normal(0.4, 0.5), self.random.log_normal(1.0, 0.4));
            self.flow(now, slow, bytes * more);
            now += self.random.between(0.1, 0.9);
        }
        while !self.is_full(now) {
            let (slow, more) = (self.random.log_normal(1.0, 0.6), self.random.log_normal(1.0, 0.4));
            self.flow(now, slow, bytes * more);
            now += self.jittered(chunk, jitter);
            if self.random.chance(0.01) {
                now += self.random.exponential(300.0);
            }
        }
    }

    /// Long connections for messages, renewed when the network or a timer says so.
    fn push(&mut self) {
        let usual = self.random.scale(60.0, self.either(600.0, 900.0));
        let mut now = self.random.between(0.0, 120.0);
        while !self.is_full(now) {
            let long = if self.random.chance(0.7) {
                usual * self.random.between(0.9, 1.1)
            } else {
                self.random.exponential(usual)
            };
            let bytes = self.random.log_normal(4_000.0, 0.8);
            self.flow(now, long, bytes);
            now += long + self.random.exponential(4.0);
        }
    }

    /// Events are sent as they happen.
    fn telemetry(&mut self) {
        let mean = self.random.scale(3.0, self.either(120.0, 150.0));
        let bytes = self.random.scale(600.0, 8_000.0);
        let mut now = self.random.exponential(mean);
        while !self.is_full(now) {
            let (slow, more) = (self.random.log_normal(0.3, 0.9), self.random.log_normal(1.0, 0.6));
            self.flow(now, slow, bytes * more);
            now += self.random.exponential(mean);
        }
    }

    /// A good program whose server is away waits longer each time.
    fn back_off(&mut self) {
        let bytes = self.random.between(80.0, 240.0);
        let answered = self.random.chance(0.5);
        let mut now = self.random.between(0.0, 120.0);
        while !self.is_full(now) {
            let mut wait = self.random.between(0.5, 4.0);
            let factor = self.random.between(1.5, self.either(2.2, 3.0));
            for _ in 0..self.random.count(4, 9) {
                let long = if answered {
                    0.02
                } else {
                    self.random.between(1.0, 7.0)
                };
                self.flow(now, long, bytes);
                now += wait * self.random.between(0.8, 1.2) + if answered { 0.0 } else { 7.0 };
                wait *= factor;
            }
            now += self.random.exponential(60.0);
        }
    }

    /// One file after another.
    fn downloads(&mut self) {
        let typical = self.random.scale(3_000.0, 3_000_000.0);
        let rate = self.random.scale(50_000.0, 5_000_000.0);
        let mut now = self.random.between(0.0, 900.0);
        while !self.is_full(now) {
            for _ in 0..self.random.count(3, 40) {
                let bytes = self.random.log_normal(typical, 1.2);
                let long = bytes / rate + self.random.between(0.03, 0.2);
                self.flow(now, long, bytes);
                now += long + self.random.exponential(0.2);
            }
            now += self.random.exponential(900.0);
        }
    }

    /// Services of an office network (directory, tickets, files, printers): some flows at once whenever somebody does
    /// something, and renewals in between.
    fn sessions(&mut self) {
        let pause = self.random.scale(10.0, self.either(300.0, 400.0));
        let typical = self.random.scale(250.0, self.either(6_000.0, 9_000.0));
        let most = self.random.count(2, 9);
        let mut now = self.random.between(0.0, 300.0);
        while !self.is_full(now) {
            for _ in 0..self.random.count(1, most) {
                let (slow, more) = (self.random.log_normal(0.1, 1.8), self.random.log_normal(1.0, 0.4));
                self.flow(now, slow, typical * more);
                now += self.random.log_normal(0.3, 1.5);
            }
            now += self.random.log_normal(pause, 1.3);
        }
    }
}
