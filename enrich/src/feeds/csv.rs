//! Separated values. The heading says where the indicator is; without one, the first value of a row that reads as an
//! indicator is it.

use std::io::{self, BufRead};

use ::csv::{ByteRecord, ReaderBuilder};
use lynceus_model::evidence::ThreatLevel;

use super::index::Meta;
use super::read::Into;
use crate::indicator::{Indicator, Kind};

/// Columns that a heading may name.
#[derive(Debug, Default)]
struct Columns {
    value: Option<usize>,
    kind: Option<usize>,
    description: Option<usize>,
    level: Option<usize>,
    tags: Option<usize>,
}

pub(super) fn read(input: &mut dyn BufRead, into: &mut Into<'_>) -> io::Result<()> {
    let separator = separator(input.fill_buf()?);
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .comment(None)
        .from_reader(input);
    let mut row = ByteRecord::new();
    let mut columns: Option<Columns> = None;
    while reader.read_byte_record(&mut row).map_err(io::Error::other)? {
        let number = row.position().map_or(0, ::csv::Position::line);
        let first = text(&row, 0);
        let commented = first.starts_with('#');
        if columns.is_none()
            && let Some(found) = heading(&row)
        {
            columns = Some(found);
            continue;
        }
        if commented || (row.len() == 1 && first.is_empty()) {
            continue;
        }
        match indicator(&row, columns.as_ref(), into) {
            Some((indicator, place)) => {
                let meta = meta(&row, columns.as_ref(), place, into);
                into.add(&indicator, &meta);
            }
            None => {
                let shown: Vec<String> = (0..row.len()).map(|at| text(&row, at)).collect();
                into.outcome.refuse(number, &shown.join(","));
            }
        }
    }
    Ok(())
}

/// The separator that the first lines have most of.
fn separator(begin: &[u8]) -> u8 {
    let lines: Vec<&[u8]> = begin
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#") && !line.is_empty())
        .take(5)
        .collect();
    let count = |separator: &u8| {
        lines
            .iter()
            .map(|line| line.iter().filter(|byte| *byte == separator).count())
            .sum::<usize>()
    };
    // The first of equals is the comma.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(count)
        .unwrap_or(b',')
}

fn text(row: &ByteRecord, at: usize) -> String {
    let value = String::from_utf8_lossy(row.get(at).unwrap_or_default()).into_owned();
    value.trim_matches(['"', ' ']).to_owned()
}

/// Names of columns as feeds use them. A heading may stand behind `#`.
fn heading(row: &ByteRecord) -> Option<Columns> {
    let mut columns = Columns::default();
    for at in 0..row.len() {
        let name = text(row, at)
            .trim_start_matches(['#', ' ', '\u{feff}'])
            .trim_matches('"')
            .to_ascii_lowercase();
        let place = match name.as_str() {
            "ip" | "ip_address" | "dst_ip" | "indicator" | "ioc" | "ioc_value" | "value" | "domain"
            | "host" | "url" | "network" | "cidr" | "ja3" | "ja3_md5" | "ja3s" | "ja4" | "jarm" | "sha1"
            | "sha1_hash" | "sha256" | "sha256_hash" | "md5" | "md5_hash" | "asn" => &mut columns.value,
            "type" | "kind" | "ioc_type" | "indicator_type" => &mut columns.kind,
            "description" | "comment" | "reason" | "listingreason" | "malware" | "malware_printable"
            | "threat" => &mut columns.description,
            "level" | "threat_level" | "threatlevel" | "severity" => &mut columns.level,
            "tags" | "tag" | "labels" => &mut columns.tags,
            _ => continue,
        };
        place.get_or_insert(at);
    }
    columns.value.is_some().then_some(columns)
}

fn indicator(row: &ByteRecord, columns: Option<&Columns>, into: &Into<'_>) -> Option<(Indicator, usize)> {
    if let Some(columns) = columns
        && let Some(place) = columns.value
    {
        let kind = columns.kind.and_then(|at| kind(&text(row, at)));
        let value = text(row, place);
        // A feed of addresses with ports writes `192.0.2.1:443`.
        let bare = value
            .rsplit_once(':')
            .filter(|(ip, _)| ip.parse::<std::net::Ipv4Addr>().is_ok());
        let read = |value: &str| match (into.options.kind, kind) {
            (None, Some(kind)) => Indicator::of_kind(kind, value).or_else(|| Indicator::guess(value)),
            _ => into.parse(value),
        };
        return read(&value).or_else(|| read(bare?.0)).map(|found| (found, place));
    }
    (0..row.len()).find_map(|at| Some((into.parse(&text(row, at))?, at)))
}

/// The kind that a column names, as several feeds say it.
fn kind(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    Kind::from_name(&name).or(match name.as_str() {
        "ip:port" | "ipv4" | "ipv6" | "ip-dst" | "ip-src" => Some(Kind::Ip),
        "hostname" | "fqdn" => Some(Kind::Domain),
        "md5_hash" | "sha1_hash" | "sha256_hash" | "md5" | "sha256" => Some(Kind::File),
        "cidr" => Some(Kind::Network),
        _ => None,
    })
}

fn meta(row: &ByteRecord, columns: Option<&Columns>, value: usize, into: &Into<'_>) -> Meta {
    let mut meta = into.meta();
    let named = |place: Option<usize>| place.map(|at| text(row, at)).filter(|text| !text.is_empty());
    let Some(columns) = columns else {
        let rest = (value + 1..row.len())
            .map(|at| text(row, at))
            .find(|text| !text.is_empty());
        meta.description = rest.unwrap_or(meta.description);
        return meta;
    };
    if let Some(text) = named(columns.description) {
        meta.description = text;
    }
    if let Some(level) = named(columns.level).and_then(|text| level(&text)) {
        meta.level = level;
    }
    if let Some(tags) = named(columns.tags) {
        let more = tags
            .split([',', ';', ' '])
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned);
        meta.tags.extend(more);
    }
    meta
}

/// A level by its name, or a number between 0 and 1 as a share of the worst.
pub(super) fn level(text: &str) -> Option<ThreatLevel> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "info" | "informational" => ThreatLevel::Info,
        "low" => ThreatLevel::Low,
        "medium" => ThreatLevel::Medium,
        "high" => ThreatLevel::High,
        "critical" => ThreatLevel::Critical,
        number => match number.parse::<f64>().ok()? {
            value if !(0.0..=1.0).contains(&value) => return None,
            value if value < 0.1 => ThreatLevel::Info,
            value if value < 0.35 => ThreatLevel::Low,
            value if value < 0.65 => ThreatLevel::Medium,
            value if value < 0.9 => ThreatLevel::High,
            _ => ThreatLevel::Critical,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::index::Builder;
    use crate::feeds::read::{Options, read};
    use crate::indicator::Key;

    fn load(text: &str) -> (crate::feeds::index::Index, crate::feeds::read::Outcome) {
        let mut builder = Builder::default();
        let outcome = read(text.as_bytes(), &Options::default(), &mut builder).unwrap();
        (builder.finish(), outcome)
    }

    #[test]
    fn a_heading_says_what_the_columns_are() {
        let text = "# made today\n\"type\",\"value\",\"threat_level\",\"description\",\"tags\"\n\
                    ip:port,192.0.2.1:443,high,a bot,c2;bot\ndomain,evil.example,0.2,,\nip,nonsense,high,,\n";
        let (index, outcome) = load(text);
        assert_eq!((outcome.indicators, outcome.bad), (2, 1));
        assert_eq!(outcome.examples[0].0, 5);
        let meta = index
            .get(&Key::new(Kind::Ip, "192.0.2.1").unwrap())
            .next()
            .unwrap();
        assert_eq!(
            (meta.level, meta.description.as_str()),
            (ThreatLevel::High, "a bot")
        );
        assert_eq!(meta.tags, ["c2", "bot"]);
        let meta = index
            .get(&Key::new(Kind::Domain, "evil.example").unwrap())
            .next()
            .unwrap();
        assert_eq!(meta.level, ThreatLevel::Low);
    }

    #[test]
    fn without_a_heading_the_first_indicator_of_a_row_counts() {
        let (index, outcome) = load("2026-01-01,192.0.2.7,Emotet\n2026-01-01,198.51.100.7,\n");
        assert_eq!((outcome.indicators, outcome.bad), (2, 0));
        let meta = index
            .get(&Key::new(Kind::Ip, "192.0.2.7").unwrap())
            .next()
            .unwrap();
        assert_eq!(meta.description, "Emotet");
    }
}
