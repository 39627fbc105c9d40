use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::human::Clock;
use crate::peers::Peers;

fn sheet(values: &[u64]) -> Sheet {
    let rows = values
        .iter()
        .map(|value| Row {
            cells: vec![
                Cell::text(format!("row {value}")),
                Cell::of(value.to_string(), Value::Count(*value)),
            ],
            subject: Subject {
                texts: vec![format!("row {value}").into()],
                ..Subject::default()
            },
            target: Target::None,
            measure: *value,
        })
        .collect();
    let columns = vec![Column::text("name", 10, 1, 0), Column::number("value", 8, 1)];
    let mut sheet = Sheet::new("a table".into(), columns, rows);
    arrange(&mut sheet, "");
    sheet
}

fn arrange(sheet: &mut Sheet, filter: &str) {
    let known = Known {
        peers: &Peers::default(),
        names: &HashMap::new(),
        clock: &Clock::utc(),
    };
    sheet.arrange(&Search::typed(filter).unwrap(), known);
}

fn shown(sheet: &Sheet) -> Vec<u64> {
    sheet.shown().map(|row| row.measure).collect()
}

#[test]
fn numbers_sort_from_the_largest_words_from_the_first() {
    let mut sheet = sheet(&[7, 30, 100]);
    sheet.sort_by(1);
    arrange(&mut sheet, "");
    assert_eq!(shown(&sheet), [100, 30, 7]);
    sheet.reverse();
    arrange(&mut sheet, "");
    assert_eq!(shown(&sheet), [7, 30, 100]);
    sheet.sort_by_next();
    arrange(&mut sheet, "");
    assert_eq!(shown(&sheet), [100, 30, 7], "by words");
}

#[test]
fn the_cursor_stays_on_its_row() {
    let mut sheet = sheet(&[7, 30, 100]);
    sheet.cursor.selected = 2;
    sheet.sort_by(1);
    arrange(&mut sheet, "");
    assert_eq!(sheet.selected().unwrap().measure, 100);
    arrange(&mut sheet, "row 3");
    assert_eq!(shown(&sheet), [30]);
    assert_eq!(sheet.selected().unwrap().measure, 30);
    arrange(&mut sheet, "nothing like this");
    assert!(sheet.selected().is_none());
}

proptest! {
    #[test]
    fn columns_never_need_more_than_the_room(room in 0usize..300, bar in any::<bool>()) {
        let mut sheet = sheet(&[1]);
        sheet.bar = bar.then_some(1);
        let (widths, bar) = sheet.layout(room);
        let used: usize = widths.iter().filter(|width| **width > 0).map(|width| width + 1).sum();
        prop_assert!(used.saturating_sub(1) + bar <= room.max(10));
    }
}
