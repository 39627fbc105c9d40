//! The loader of ADBench's files, with files that the test makes: what is in them comes back, and what is wrong with
//! them is named.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../benches/support/adbench.rs"]
mod adbench;

use std::io::{Cursor, Write as _};

use adbench::{MAX_CELLS, Table};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;

fn npy(kind: &str, by_column: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if by_column { "True" } else { "False" };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        archive
            .start_file(format!("{name}.npy"), SimpleFileOptions::default())
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn longs(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn refused(arrays: &[(&str, Vec<u8>)]) -> String {
    let error = Table::from_npz(Cursor::new(npz(arrays))).unwrap_err();
    format!("{error:#}")
}

#[test]
fn arrays_come_back_in_both_orders() {
    let labels = ("y", npy("<i8", false, "(3,)", &longs(&[0, 1, 0])));
    let by_row = npy("<f8", false, "(3, 2)", &doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, -6.5]));
    let by_column = npy("<f8", true, "(3, 2)", &doubles(&[1.0, 3.0, 5.0, 2.0, 4.0, -6.5]));
    for x in [by_row, by_column] {
        let table = Table::from_npz(Cursor::new(npz(&[("X", x), labels.clone()]))).unwrap();
        assert_eq!((table.columns, &table.labels[..]), (2, &[false, true, false][..]));
        assert_eq!(table.rows().last().unwrap(), [5.0, -6.5]);
    }
    let bytes = npy("|u1", false, "(2, 1)", &[7, 255]);
    let labels = npy("<f8", false, "(2, 1)", &doubles(&[1.0, 0.0]));
    let table = Table::from_npz(Cursor::new(npz(&[("X", bytes), ("y", labels)]))).unwrap();
    assert_eq!(
        (table.values, table.labels),
        (vec![7.0, 255.0], vec![true, false])
    );
}

#[test]
fn what_is_wrong_is_named() {
    let x = || ("X", npy("<f8", false, "(2, 1)", &doubles(&[1.0, 2.0])));
    let y = || ("y", npy("<i8", false, "(2,)", &longs(&[0, 1])));
    let huge = format!("({MAX_CELLS}, 2)");
    for (arrays, says) in [
        (vec![x()], "no array y"),
        (
            vec![x(), ("y", npy("<i8", false, "(3,)", &longs(&[0, 1, 1])))],
            "does not fit X",
        ),
        (
            vec![x(), ("y", npy("<i8", false, "(2,)", &longs(&[0, 7])))],
            "array y: row 1: label 7",
        ),
        (
            vec![y(), ("X", npy("<f8", false, "(2, 1)", &doubles(&[1.0])))],
            "fewer than 2 numbers",
        ),
        (vec![y(), ("X", npy("<f8", false, &huge, &[]))], "more than"),
        (
            vec![y(), ("X", npy("<f8", false, "(99999999999, 99999999999)", &[]))],
            "more than",
        ),
        (
            vec![y(), ("X", npy("<c16", false, "(2, 1)", &[0; 32]))],
            "type <c16",
        ),
        (
            vec![
                y(),
                ("X", npy("<f8", false, "(2, 1)", &doubles(&[f64::NAN, 1.0]))),
            ],
            "row 0, column 0",
        ),
        (vec![y(), ("X", b"PK".to_vec())], "shorter than its magic"),
        (
            vec![y(), ("X", npy("<f8", false, "two", &[]))],
            "shape is no tuple",
        ),
    ] {
        let text = refused(&arrays);
        assert!(text.contains(says), "{text}: not {says}");
    }
    assert!(Table::from_npz(Cursor::new(b"no archive".to_vec())).is_err());
}

/// An archive of few bytes that unpacks to many: only as much is read as the header declares and the bound allows.
#[test]
fn an_archive_that_grows_is_read_to_its_bound() {
    let mut bytes = npy("<f8", false, "(4, 1)", &doubles(&[1.0; 4]));
    bytes.resize(bytes.len() + (64 << 20), 0);
    let y = ("y", npy("<i8", false, "(4,)", &longs(&[0, 1, 0, 1])));
    let table = Table::from_npz(Cursor::new(npz(&[("X", bytes), y]))).unwrap();
    assert_eq!(table.values.len(), 4);
}

#[test]
fn tables_of_text_have_the_label_last() {
    let with_heading = "a,b,label\n1,2.5,0\n-3,4e2,1\n";
    let bare = "1,2.5,0\n-3,4e2,1\n";
    for text in [with_heading, bare] {
        let table = Table::from_csv(text.as_bytes()).unwrap();
        assert_eq!(table.values, [1.0, 2.5, -3.0, 400.0]);
        assert_eq!(table.labels, [false, true]);
    }
    for (text, says) in [
        ("", "no row"),
        ("1,0\nx,1\n", "line 2, column 1"),
        ("1,0\n2,5\n", "line 2: label 5"),
        ("1,0\n2\n", "line 2"),
        ("1,0\ninf,1\n", "line 2, column 1"),
        ("0\n", "no column beside the label"),
    ] {
        let error = format!("{:#}", Table::from_csv(text.as_bytes()).unwrap_err());
        assert!(error.contains(says), "{text:?}: {error}");
    }
}

#[test]
fn a_file_is_read_by_its_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.csv");
    std::fs::write(&path, "1,0\n2,1\n").unwrap();
    assert_eq!(Table::read(&path).unwrap().labels, [false, true]);
    let error = Table::read(&folder.path().join("one.csv.gz")).unwrap_err();
    assert!(format!("{error:#}").contains("one.csv.gz"));
}

proptest! {
    #[test]
    fn what_was_written_comes_back(
        rows in 1_usize..20,
        columns in 1_usize..6,
        numbers in prop::collection::vec(-1e9..1e9_f64, 120),
        labels in prop::collection::vec(any::<bool>(), 20),
    ) {
        let values = &numbers[..rows * columns];
        let labels = &labels[..rows];
        let wire: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
        let file = npz(&[
            ("X", npy("<f8", false, &format!("({rows}, {columns})"), &doubles(values))),
            ("y", npy("<i8", false, &format!("({rows},)"), &longs(&wire))),
        ]);
        let table = Table::from_npz(Cursor::new(file)).unwrap();
        prop_assert_eq!(&table.values, values);
        prop_assert_eq!(&table.labels, labels);
    }

    #[test]
    fn hostile_files_are_refused_without_panic(
        mut x in prop::collection::vec(any::<u8>(), 0..300),
        whole in any::<bool>(),
        text in "\\PC{0,200}",
    ) {
        // Behind a magic that is right, so that headers are read.
        if whole {
            x.splice(0..0, *b"\x93NUMPY\x01\x00");
        }
        let y = npy("<i8", false, "(1,)", &longs(&[0]));
        let archive = npz(&[("X", x.clone()), ("y", y)]);
        let _ = Table::from_npz(Cursor::new(archive));
        let _ = Table::from_npz(Cursor::new(x));
        let _ = Table::from_csv(text.as_bytes());
    }

    /// Headers that are right but for some bytes: each way of reading them is taken.
    #[test]
    fn damaged_arrays_are_refused_without_panic(
        damage in prop::collection::vec((0_usize..144, any::<u8>()), 1..4),
    ) {
        let mut x = npy("<f8", false, "(2, 1)", &doubles(&[1.0, 2.0]));
        for (place, byte) in damage {
            let length = x.len();
            x[place % length] = byte;
        }
        let y = npy("<i8", false, "(2,)", &longs(&[0, 1]));
        if let Ok(table) = Table::from_npz(Cursor::new(npz(&[("X", x), ("y", y)]))) {
            prop_assert_eq!(table.values.len(), 2 * table.columns);
        }
    }
}
