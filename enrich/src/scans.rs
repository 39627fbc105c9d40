//! Results of other people's scanners: ZMap's CSV and ZGrab2's JSON Lines, read line by line.

mod zgrab;
mod zmap;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::net::IpAddr;

use crate::discipline::Observation;
use crate::provider::Status;

/// Which scanner wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanner {
    /// CSV with a heading that has `saddr`, or one address a line.
    ZMap,
    /// One JSON object a line, with `ip` and `data`.
    ZGrab2,
}

impl Scanner {
    /// Name of the source in history and dossiers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZMap => "zmap",
            Self::ZGrab2 => "zgrab2",
        }
    }
}

/// One open port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub ip: IpAddr,
    pub port: u16,
    /// `ssh`, `http`; absent in ZMap's.
    pub service: Option<String>,
    /// What the server said of itself, one line.
    pub banner: Option<String>,
    /// Seconds since the Unix epoch, where the line says it.
    pub at: Option<i64>,
}

/// How reading went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub lines: u64,
    /// Open ports.
    pub seen: u64,
    /// Lines about ports that did not answer.
    pub closed: u64,
    /// Lines that were not understood, and the first of them with their numbers and what is wrong.
    pub bad: u64,
    pub examples: Vec<(u64, String)>,
}

/// Longest line; ZGrab2 writes whole pages into one.
const MAX_LINE: u64 = 4 << 20;
const MAX_EXAMPLES: usize = 5;
/// Ports and banners that are joined before they are handed on.
const BATCH: usize = 4096;

/// What a line says.
enum Line {
    Seen(Vec<Seen>),
    Closed,
    /// A heading, or nothing.
    Nothing,
}

/// Reads results and hands on observations, some thousand ports at a time. `port`: of ZMap results that do not say it.
/// `now`: of lines that do not say when, seconds since the Unix epoch.
///
/// # Errors
/// The input cannot be read, or `keep` fails.
pub fn read(
    scanner: Scanner,
    input: impl BufRead,
    port: Option<u16>,
    now: i64,
    mut keep: impl FnMut(Vec<Observation>) -> io::Result<()>,
) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut zmap = zmap::Reader::new(port);
    let mut batch: BTreeMap<IpAddr, Vec<Seen>> = BTreeMap::new();
    let mut waiting = 0;
    let mut input = input;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        outcome.lines += 1;
        let read = if bytes.len() as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
            skip_line(&mut input)?;
            Err(format!("longer than {MAX_LINE} bytes"))
        } else {
            let text = String::from_utf8_lossy(&bytes);
            match scanner {
                Scanner::ZMap => zmap.line(text.trim()),
                Scanner::ZGrab2 => zgrab::line(text.trim()),
            }
        };
        match read {
            Ok(Line::Nothing) => {}
            Ok(Line::Closed) => outcome.closed += 1,
            Ok(Line::Seen(all)) => {
                outcome.seen += all.len() as u64;
                waiting += all.len();
                for seen in all {
                    batch.entry(seen.ip).or_default().push(seen);
                }
            }
            Err(what) => {
                outcome.bad += 1;
                if outcome.examples.len() < MAX_EXAMPLES {
                    outcome.examples.push((outcome.lines, what));
                }
            }
        }
        if waiting >= BATCH {
            waiting = 0;
            keep(observations(scanner, std::mem::take(&mut batch), now))?;
        }
    }
    if !batch.is_empty() {
        keep(observations(scanner, batch, now))?;
    }
    Ok(outcome)
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => {
                input.consume(at + 1);
                return Ok(());
            }
            None => {
                let length = buffer.len();
                input.consume(length);
            }
        }
    }
}

fn observations(scanner: Scanner, batch: BTreeMap<IpAddr, Vec<Seen>>, now: i64) -> Vec<Observation> {
    let name = scanner.name();
    let one = |(ip, mut all): (IpAddr, Vec<Seen>)| {
        all.sort_by(|a, b| (a.port, &a.service, &a.banner).cmp(&(b.port, &b.service, &b.banner)));
        let mut ports: Vec<String> = all.iter().map(|seen| seen.port.to_string()).collect();
        ports.dedup();
        let words = all.iter().filter_map(|seen| {
            let service = seen.service.as_ref()?;
            let banner = seen
                .banner
                .as_ref()
                .map_or_else(String::new, |banner| format!(" {banner}"));
            Some(format!("{}/tcp {service}{banner}", seen.port))
        });
        let mut services: Vec<String> = words.collect();
        services.dedup();
        let mut columns = vec![(format!("{name}.ports"), ports.into())];
        if !services.is_empty() {
            columns.push((format!("{name}.services"), services.into()));
        }
        Observation {
            ip,
            provider: name.to_owned(),
            settings: String::new(),
            observed: all.iter().filter_map(|seen| seen.at).max().unwrap_or(now),
            status: Status::Found,
            range: None,
            columns,
        }
    };
    batch.into_iter().map(one).collect()
}

/// RFC 3339, or ZMap's own `2026-01-02T03:04:05.678+0000`.
fn time(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).ok()?;
    time.to_timestamp().ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(scanner: Scanner, text: &str, port: Option<u16>) -> (Vec<Observation>, Outcome) {
        let mut kept = Vec::new();
        let outcome = read(scanner, text.as_bytes(), port, 7, |batch| {
            kept.extend(batch);
            Ok(())
        });
        (kept, outcome.unwrap())
    }

    fn column(observation: &Observation, name: &str) -> Vec<String> {
        let column = observation.columns.iter().find(|(known, _)| known == name);
        let items = column
            .and_then(|(_, value)| value.as_array().cloned())
            .unwrap_or_default();
        items
            .iter()
            .map(|item| item.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn zmap_results_are_read_with_and_without_heading() {
        let text = "saddr,sport,classification,success,timestamp_str\n\
            192.0.2.1,443,synack,1,2026-01-02T03:04:05.678+0000\n\
            192.0.2.1,80,synack,1,2026-01-02T03:04:06.000+0000\n\
            192.0.2.2,443,rst,0,2026-01-02T03:04:05.678+0000\n\
            nonsense,1,synack,1,x\n";
        let (kept, outcome) = all(Scanner::ZMap, text, None);
        assert_eq!(kept.len(), 1);
        assert_eq!(column(&kept[0], "zmap.ports"), ["80", "443"]);
        assert_eq!(kept[0].observed, 1_767_323_046);
        assert_eq!((outcome.seen, outcome.closed, outcome.bad), (2, 1, 1));
        assert_eq!(outcome.examples[0].0, 5);
        let (kept, outcome) = all(Scanner::ZMap, "192.0.2.1\n2001:db8::1\n", Some(22));
        assert_eq!((kept.len(), outcome.bad), (2, 0));
        assert_eq!(column(&kept[1], "zmap.ports"), ["22"]);
        let (kept, outcome) = all(Scanner::ZMap, "192.0.2.1\n", None);
        assert_eq!((kept.len(), outcome.bad), (0, 1));
        assert!(outcome.examples[0].1.contains("port"));
    }

    #[test]
    fn zgrab_results_are_read_with_their_banners() {
        let text = concat!(
            r#"{"ip":"192.0.2.1","data":{"ssh":{"status":"success","protocol":"ssh","port":2222,"timestamp":"2026-01-02T03:04:05Z","result":{"server_id":{"raw":"SSH-2.0-OpenSSH_9"}}},"http":{"status":"success","protocol":"http","result":{"response":{"headers":{"server":["nginx"]}}}}}}"#,
            "\n",
            r#"{"ip":"192.0.2.2","data":{"ftp":{"status":"connection-timeout","protocol":"ftp"}}}"#,
            "\n",
            r#"{"domain":"x.example","data":{}}"#,
            "\n{\n"
        );
        let (kept, outcome) = all(Scanner::ZGrab2, text, None);
        assert_eq!(kept.len(), 1);
        assert_eq!(column(&kept[0], "zgrab2.ports"), ["80", "2222"]);
        assert_eq!(
            column(&kept[0], "zgrab2.services"),
            ["80/tcp http nginx", "2222/tcp ssh SSH-2.0-OpenSSH_9"]
        );
        assert_eq!((outcome.seen, outcome.closed, outcome.bad), (2, 1, 2));
    }

    #[test]
    fn an_endless_line_costs_no_memory_and_only_itself() {
        let text = format!("{}\n192.0.2.1\n", "9".repeat(9 << 20));
        let (kept, outcome) = all(Scanner::ZMap, &text, Some(80));
        assert_eq!((kept.len(), outcome.bad, outcome.lines), (1, 1, 2));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_counted(text in "[\\PC\n,\"{}:]{0,300}", zmap: bool) {
            let scanner = if zmap { Scanner::ZMap } else { Scanner::ZGrab2 };
            let (_, outcome) = all(scanner, &text, Some(1));
            prop_assert!(outcome.bad + outcome.closed <= outcome.lines);
        }

        #[test]
        fn what_zmap_wrote_is_what_is_kept(rows in proptest::collection::vec((any::<u32>(), any::<u16>()), 1..50)) {
            let mut text = "sport,success,saddr\n".to_owned();
            let mut expected: BTreeMap<IpAddr, std::collections::BTreeSet<u16>> = BTreeMap::new();
            for (ip, port) in rows {
                let ip = IpAddr::from(ip.to_be_bytes());
                text += &format!("{port},1,{ip}\n");
                expected.entry(ip).or_default().insert(port);
            }
            let (kept, outcome) = all(Scanner::ZMap, &text, None);
            prop_assert_eq!(outcome.bad, 0);
            let found: BTreeMap<IpAddr, std::collections::BTreeSet<u16>> = kept
                .iter()
                .map(|seen| (seen.ip, column(seen, "zmap.ports").iter().map(|port| port.parse().unwrap()).collect()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
