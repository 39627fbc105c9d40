use prost::bytes::Bytes;

use super::*;
use crate::store::key_hash;

fn entry(seq: u64) -> Entry {
    Entry {
        stream: StreamId {
            sensor: lynceus_model::window::SensorId([4; 16]),
            boot: [1; 16],
            stream: 1,
        },
        seq,
        span: None,
        keys: vec![key_hash(b"k")],
        payload: Bytes::from(format!("payload {seq}").repeat(9)),
    }
}

fn open(directory: &Path) -> FileLog {
    let small = FileLogOptions {
        segment_bytes: 2000,
        block_bytes: 150,
        ..FileLogOptions::default()
    };
    FileLog::open(directory, small, Marks::default(), Position(0)).unwrap()
}

fn seqs(log: &FileLog) -> Vec<u64> {
    let mut seqs = Vec::new();
    let mut take = |record: LogRecord| {
        assert_eq!(record.payload, entry(record.seq).payload);
        seqs.push(record.seq);
        ControlFlow::Continue(())
    };
    log.read(&LogRange::default(), &mut take).unwrap();
    seqs
}

fn newest_segment(directory: &Path) -> PathBuf {
    segment_paths(directory).unwrap().pop().unwrap().1
}

#[test]
fn a_tail_torn_anywhere_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.append((1..=3).map(entry).collect()).unwrap();
    let whole = log.figures().bytes;
    log.append(vec![entry(4)]).unwrap();
    drop(log);
    let path = newest_segment(directory.path());
    let bytes = std::fs::read(&path).unwrap();
    for cut in usize::try_from(whole).unwrap()..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let log = open(directory.path());
        assert_eq!(seqs(&log), [1, 2, 3], "cut at {cut}");
        assert_eq!(log.figures().recovered_bytes, cut as u64 - whole);
    }
    // Sequence 4 was never acknowledged in that world: it comes again and is new.
    let log = open(directory.path());
    assert!(matches!(
        log.append(vec![entry(4)]).unwrap()[..],
        [Admitted::Stored { .. }]
    ));
    assert_eq!(seqs(&log), [1, 2, 3, 4]);
}

#[test]
fn foreign_bytes_at_the_end_are_cut() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(vec![entry(1)]).unwrap();
    let path = newest_segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0x55; 700]);
    std::fs::write(&path, &bytes).unwrap();
    let log = open(directory.path());
    assert_eq!(log.figures().recovered_bytes, 700);
    log.append(vec![entry(2)]).unwrap();
    assert_eq!(seqs(&log), [1, 2]);
}

#[test]
fn a_damaged_block_in_the_middle_is_counted_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    for seq in 1..=40 {
        log.append(vec![entry(seq)]).unwrap();
    }
    drop(log);
    let (_, oldest) = segment_paths(directory.path()).unwrap().remove(0);
    let mut bytes = std::fs::read(&oldest).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(&oldest, &bytes).unwrap();
    let log = open(directory.path());
    assert_eq!(seqs(&log).len(), 39);
    assert_eq!(log.figures().damaged, 1);
    assert_eq!(log.last_position(), Position(40));
}

#[test]
fn a_full_disk_acknowledges_nothing_and_is_over_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.append(vec![entry(1)]).unwrap();
    // The next segment is a device that is always full; the append after that makes a new file in its place.
    log.lock().open = false;
    std::os::unix::fs::symlink("/dev/full", directory.path().join(format!("{:020}.{SUFFIX}", 2))).unwrap();
    let refused = log.append(vec![entry(2)]).err().unwrap();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert!(log.figures().degraded.unwrap().contains("is full"));
    assert_eq!(seqs(&log), [1]);
    assert!(matches!(
        log.append(vec![entry(2)]).unwrap()[..],
        [Admitted::Stored { .. }]
    ));
    assert_eq!(log.figures().degraded, None);
    assert_eq!(seqs(&log), [1, 2]);
}

#[test]
fn what_a_failed_append_left_is_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.append(vec![entry(1)]).unwrap();
    let good = std::fs::read(newest_segment(directory.path())).unwrap();
    // As if the sync failed after the bytes had reached the disk, and the cut failed too.
    log.append(vec![entry(2)]).unwrap();
    let left = std::fs::read(newest_segment(directory.path())).unwrap();
    assert!(left.len() > good.len());
    drop(log);
    std::fs::write(newest_segment(directory.path()), &good).unwrap();
    let log = open(directory.path());
    log.append(vec![entry(2), entry(3)]).unwrap();
    drop(log);
    let (_, first) = segment_paths(directory.path()).unwrap().remove(0);
    std::fs::write(first, left).unwrap();
    assert_eq!(seqs(&open(directory.path())), [1, 2, 3]);
}

#[test]
fn what_a_checkpoint_speaks_of_is_not_read_again_when_the_log_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path());
    log.append((1..=4).map(entry).collect()).unwrap();
    let (marks, after) = log.checkpoint();
    drop(log);
    let path = newest_segment(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let checked = |after, marks| {
        let log = FileLog::open(directory.path(), FileLogOptions::default(), marks, after).unwrap();
        (
            log.last_position(),
            log.figures().recovered_bytes,
            seqs(&log).len(),
            log.figures().damaged,
        )
    };
    // The damage came later than the checkpoint: nothing is cut, and whoever reads the block is told.
    let (last, cut, read, damaged) = checked(after, marks);
    assert_eq!((last, cut, damaged), (Position(4), 0, 1));
    assert!(read < 4);
    // Without a checkpoint the same bytes are a torn tail.
    let (last, cut, _, damaged) = checked(Position(0), Marks::default());
    assert!(last < Position(4) && cut > 0);
    assert_eq!(damaged, 0);
}
