//! `docs/detections.md` has a page for each type of evidence, and says of each which inputs show it.
#![allow(clippy::unwrap_used, reason = "tests")]

use lynceus_model::evidence::EvidenceType;

const PAGE: &str = include_str!("../../docs/detections.md");
const TABLE: &str = "## Where each type comes from";
const INPUTS: &str = "| type | live | pcap | Zeek | Suricata | Argus | nfdump |";

/// Whether a heading or the first cell of a row names the type; `…_ASN` and `ICMP_ADDRESS_, …` are ends of names.
fn names(text: &str, kind: EvidenceType) -> bool {
    let mut words =
        text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '…'));
    words.any(|word| match word.strip_prefix('…') {
        Some(end) => end.len() > 3 && kind.name().ends_with(end),
        None => word == kind.name(),
    })
}

#[test]
fn each_type_has_a_page_and_a_row_for_all_inputs() {
    let (pages, table) = PAGE.split_once(TABLE).unwrap();
    assert!(table.contains(INPUTS));
    let not_built = pages.split_once("## Not built").unwrap().1;
    let headings: Vec<&str> = pages.lines().filter(|line| line.starts_with("## ")).collect();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for kind in EvidenceType::ALL {
        let name = kind.name();
        let has_page = headings.iter().any(|heading| names(heading, kind));
        assert!(has_page || names(not_built, kind), "{name} has no page");
        let row = rows.iter().find(|row| names(row[0], kind));
        let row = row.unwrap_or_else(|| panic!("{name} is in no row"));
        assert_eq!(row.len(), 7, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        // What packets do not show says why.
        for cell in &row[1..3] {
            let shown = !cell.starts_with("no") || cell.starts_with("not built");
            assert!(shown, "{name}: {cell}");
        }
    }
}

/// What a finding means, when it is wrong, and what an attacker does with it.
#[test]
fn each_page_says_why_it_matters_and_when_it_is_wrong() {
    let (pages, _) = PAGE.split_once("## Not built").unwrap();
    let pages: Vec<&str> = pages
        .split("\n## ")
        .filter(|page| page.contains("**Sees**"))
        .collect();
    assert!(pages.len() > 40, "{}", pages.len());
    for page in pages {
        for part in ["**Why**", "**Wrong when**", "ATT&CK"] {
            let heading = page.lines().next().unwrap();
            assert!(page.contains(part), "{heading}: no {part}");
        }
    }
}
