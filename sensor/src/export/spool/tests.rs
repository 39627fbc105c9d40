//! The spool against a model of itself, on a disk that fails in every way that disks fail.

mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use lynceus_model::status::GapReason;
use lynceus_model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use self::fake::FakeDisk;
use super::{Entry, Limits, Memory, Meta, Recovery, Spool, WhenFull, recover};

const DAY: Duration = Duration::from_secs(86_400);

/// Small segments, so that a few entries fill several.
const ROOMY: Limits = Limits {
    segment_bytes: 400,
    max_bytes: 1 << 30,
    max_age: DAY,
    when_full: WhenFull::DropOldest,
};

const TIGHT: Limits = Limits {
    max_bytes: 1_500,
    ..ROOMY
};

fn open(disk: &FakeDisk, limits: Limits) -> (Spool<FakeDisk>, Recovery) {
    recover::open(disk.clone(), limits, Timestamp(0)).expect("opening never fails while the power is on")
}

fn meta(flows: u64) -> Meta {
    Meta {
        batches: 1,
        flows,
        ..Meta::default()
    }
}

fn all(spool: &mut Spool<FakeDisk>) -> BTreeMap<u64, Vec<u8>> {
    let entries = spool.read(0, u64::MAX);
    assert!(entries.is_sorted_by(|a, b| a.index < b.index));
    entries
        .into_iter()
        .map(|entry| (entry.index, entry.bytes))
        .collect()
}

#[derive(Clone, Debug)]
enum Action {
    Push {
        length: usize,
    },
    /// Acknowledges so many of the unacknowledged entries.
    Ack {
        entries: u64,
    },
    Close,
    /// Power fails within the next operations and comes back.
    Crash {
        after: u32,
        seed: u64,
    },
    /// One of the next operations fails.
    Fault {
        after: u32,
    },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        6 => (0..300_usize).prop_map(|length| Action::Push { length }),
        3 => (0..5_u64).prop_map(|entries| Action::Ack { entries }),
        1 => Just(Action::Close),
        2 => (0..6_u32, any::<u64>()).prop_map(|(after, seed)| Action::Crash { after, seed }),
        1 => (0..6_u32).prop_map(|after| Action::Fault { after }),
    ];
    vec(action, 1..60)
}

/// What must be in the spool.
#[derive(Default)]
struct Model {
    promised: BTreeMap<u64, Vec<u8>>,
    acked: Option<u64>,
    /// A push that failed while the power went: it may be there or not.
    doubtful: Option<(u64, Vec<u8>)>,
    pushes: u8,
}

impl Model {
    fn payload(&mut self, length: usize) -> Vec<u8> {
        self.pushes = self.pushes.wrapping_add(1);
        vec![self.pushes; length]
    }

    fn unacked(&self) -> impl Iterator<Item = (&u64, &Vec<u8>)> {
        self.promised
            .iter()
            .filter(|(index, _)| self.acked.is_none_or(|acked| **index > acked))
    }

    /// Whatever is read was pushed with just this content.
    fn check_content(&mut self, present: &BTreeMap<u64, Vec<u8>>) {
        if let Some((index, bytes)) = self.doubtful.take()
            && present.get(&index) == Some(&bytes)
        {
            self.promised.insert(index, bytes);
        }
        for (index, bytes) in present {
            assert_eq!(
                self.promised.get(index),
                Some(bytes),
                "entry {index} has another content"
            );
        }
    }
}

/// Runs the actions; gives the model and whatever is in the spool at the end.
fn run(
    limits: Limits,
    actions: Vec<Action>,
    mut check: impl FnMut(&Model, &BTreeMap<u64, Vec<u8>>, &Spool<FakeDisk>),
) {
    let disk = FakeDisk::default();
    disk.restart(1);
    let mut spool = open(&disk, limits).0;
    let mut model = Model::default();
    for action in actions {
        match action {
            Action::Push { length } => {
                let payload = model.payload(length);
                let index = spool.next_index();
                match spool.push(&payload, meta(1)) {
                    Ok(stored) => {
                        assert_eq!(stored, index);
                        model.promised.insert(index, payload);
                    }
                    Err(_) if disk.is_dead() => model.doubtful = Some((index, payload)),
                    Err(_) => {}
                }
            }
            Action::Ack { entries } => {
                let present = spool.read(0, u64::MAX);
                let next = present.iter().take(usize::try_from(entries).unwrap()).next_back();
                if let Some(Entry { index, .. }) = next {
                    spool.ack(*index);
                    model.acked = model.acked.max(Some(*index));
                }
            }
            Action::Close => {
                spool.close();
                if !disk.is_dead() {
                    disk.restart(7);
                }
                spool = reopen(&disk, limits);
            }
            Action::Crash { after, seed } => {
                disk.light_fuse(after);
                for _ in 0..after {
                    let payload = model.payload(40);
                    let index = spool.next_index();
                    match spool.push(&payload, meta(1)) {
                        Ok(_) => drop(model.promised.insert(index, payload)),
                        Err(_) if disk.is_dead() && model.doubtful.is_none() => {
                            model.doubtful = Some((index, payload))
                        }
                        Err(_) => {}
                    }
                }
                drop(spool);
                disk.restart(seed);
                spool = reopen(&disk, limits);
            }
            Action::Fault { after } => disk.plan_fault(after),
        }
        if disk.is_dead() {
            drop(spool);
            disk.restart(3);
            spool = reopen(&disk, limits);
        }
        let present = all(&mut spool);
        model.check_content(&present);
        check(&model, &present, &spool);
    }
}

/// A planned fault may hit the opening itself: then the start is tried again, as a service manager would.
fn reopen(disk: &FakeDisk, limits: Limits) -> Spool<FakeDisk> {
    match recover::open(disk.clone(), limits, Timestamp(0)) {
        Ok((spool, _)) => spool,
        Err(_) => open(disk, limits).0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Conservation: what was promised and not acknowledged is there, whatever fails.
    #[test]
    fn nothing_promised_is_lost(actions in actions()) {
        run(ROOMY, actions, |model, present, _| {
            for (index, bytes) in model.unacked() {
                assert_eq!(present.get(index), Some(bytes), "entry {index} is gone");
            }
        });
    }

    /// A spool that is too small: bounded, never wrong, and never stuck.
    #[test]
    fn a_full_spool_stays_within_its_bound(actions in actions(), drop_new: bool) {
        let when_full = if drop_new { WhenFull::DropNew } else { WhenFull::DropOldest };
        run(Limits { when_full, ..TIGHT }, actions, |_, _, spool| {
            assert!(spool.usage().bytes <= TIGHT.max_bytes);
        });
    }

    /// Without failures the count of losses is exact.
    #[test]
    fn every_dropped_entry_is_counted(lengths in vec(0..300_usize, 1..80), acks in vec(0..3_u64, 1..80)) {
        let mut spool = open(&FakeDisk::default(), TIGHT).0;
        let (mut acked, mut pushed) = (0, 0);
        for (length, ack) in lengths.iter().zip(acks.iter().cycle()) {
            spool.push(&vec![1; *length], meta(3)).unwrap();
            pushed += 1;
            for entry in spool.read(0, u64::MAX).iter().take(usize::try_from(*ack).unwrap()) {
                spool.ack(entry.index);
                acked += 1;
            }
        }
        let waiting = spool.usage().entries;
        let lost = spool.lost().iter().map(|lost| lost.batches).sum::<u64>();
        prop_assert_eq!(pushed, acked + waiting + lost);
        let gaps = spool.take_losses();
        let gap_flows: u64 = gaps.iter().filter_map(|gap| gap.flows).sum();
        prop_assert_eq!(gap_flows, 3 * lost);
        prop_assert!(spool.take_losses().is_empty());
    }

    /// Any bytes in the files: it opens, and it works.
    #[test]
    fn any_files_open(
        files in vec((0..50_u64, vec(any::<u8>(), 0..300), any::<bool>()), 0..6),
        state in proptest::option::of(vec(any::<u8>(), 0..30)),
    ) {
        use super::Disk;
        let mut disk = FakeDisk::default();
        for (first, mut bytes, magic) in files {
            if magic {
                bytes.splice(0..0, *b"lynspl01");
            }
            disk.put(&format!("{first:020}.seg"), &bytes).unwrap();
        }
        if let Some(bytes) = state {
            disk.put("state", &bytes).unwrap();
        }
        let (mut spool, _) = open(&disk, ROOMY);
        let index = spool.push(b"x", meta(1)).unwrap();
        let present = all(&mut spool);
        prop_assert_eq!(present.get(&index).map(Vec::as_slice), Some(b"x".as_slice()));
    }
}

#[test]
fn a_kill_is_reported_once_with_bounds() {
    let disk = FakeDisk::default();
    let (mut spool, recovery) = open(&disk, ROOMY);
    assert_eq!(recovery, Recovery::default());
    let seen = Meta {
        first: Timestamp(5),
        last: Timestamp(9),
        ..meta(1)
    };
    spool.push(b"a", seen).unwrap();
    drop(spool);

    let now = Timestamp(100);
    let (mut spool, recovery) = recover::open(disk.clone(), ROOMY, now).unwrap();
    assert!(recovery.killed);
    assert_eq!(recovery.entries, 1);
    let gaps = spool.take_losses();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].reason, GapReason::SensorKilled);
    assert_eq!((gaps[0].first, gaps[0].last), (Timestamp(9), now));
    assert_eq!(gaps[0].flows, None);
    spool.close();

    let (mut spool, recovery) = open(&disk, ROOMY);
    assert!(!recovery.killed);
    assert!(spool.take_losses().is_empty());
    assert_eq!(all(&mut spool).len(), 1);
}

/// A gap record that is dropped itself goes on to tell what is missing, and what nobody knew stays unknown.
#[test]
fn a_dropped_gap_record_is_told_again() {
    for unknown in [0, 1] {
        let mut spool = open(&FakeDisk::default(), ROOMY).0;
        let told = Meta {
            batches: 7,
            flows: 70,
            gaps: 1,
            unknown,
            ..Meta::default()
        };
        let index = spool.push(b"gap", told).unwrap();
        spool.drop_entry(index, GapReason::SpoolFull);
        let gaps = spool.take_losses();
        assert_eq!(gaps[0].flows, (unknown == 0).then_some(70));
        assert_eq!(gaps[0].batches, (unknown == 0).then_some(7));
        assert!(spool.lost().is_empty(), "it was counted when it was lost");
        assert_eq!(spool.usage().entries, 0);
    }
}

#[test]
fn old_entries_expire() {
    let mut spool = open(&FakeDisk::default(), ROOMY).0;
    let stored = |seconds| Meta {
        stored: Timestamp::from_secs(seconds),
        ..meta(2)
    };
    spool.push(&[0; 300], stored(0)).unwrap();
    spool.push(&[0; 300], stored(80_000)).unwrap();
    spool.expire(Timestamp::from_secs(86_400));
    assert_eq!(spool.usage().entries, 2);
    spool.expire(Timestamp::from_secs(86_401));
    assert_eq!(spool.usage().entries, 1);
    let gaps = spool.take_losses();
    assert_eq!(
        (gaps[0].reason, gaps[0].flows),
        (GapReason::SpoolExpired, Some(2))
    );
}

#[test]
fn a_rotten_entry_is_counted_and_skipped() {
    let disk = FakeDisk::default();
    let mut spool = open(&disk, ROOMY).0;
    for byte in 0..3 {
        spool.push(&[byte; 10], meta(4)).unwrap();
    }
    // 8 bytes of magic, then frames of 8 + 72 + 10.
    disk.rot("00000000000000000000.seg", 8 + 90 + 80);
    let present = all(&mut spool);
    assert_eq!(present.keys().copied().collect::<Vec<_>>(), [0, 2]);
    assert_eq!(all(&mut spool).len(), 2, "it is counted once");
    let gaps = spool.take_losses();
    assert_eq!(
        (gaps[0].reason, gaps[0].batches, gaps[0].flows),
        (GapReason::SpoolCorrupt, Some(1), Some(4))
    );
}

#[test]
fn files_go_when_their_entries_are_done() {
    let disk = FakeDisk::default();
    let mut spool = open(&disk, ROOMY).0;
    let last = (0..20)
        .map(|_| spool.push(&[0; 300], meta(1)).unwrap())
        .last()
        .unwrap();
    assert!(disk.names().len() > 15);
    spool.ack(last);
    assert_eq!(
        disk.names().len(),
        2,
        "the segment that grows, and the state: {:?}",
        disk.names()
    );
    assert_eq!(spool.usage().entries, 0);
}

#[test]
fn in_memory_it_works_the_same() {
    let (mut spool, _) = Spool::open(Memory::default(), ROOMY, Timestamp(0)).unwrap();
    for byte in 0..50 {
        spool.push(&[byte; 100], meta(1)).unwrap();
    }
    let first = spool.read(0, 1_000);
    assert!(first.len() < 10 && !first.is_empty());
    spool.ack(first.last().unwrap().index);
    let rest = spool.read(0, u64::MAX);
    assert_eq!(first.len() + rest.len(), 50);
    assert_eq!(rest[0].bytes[0], u8::try_from(first.len()).unwrap());
}
