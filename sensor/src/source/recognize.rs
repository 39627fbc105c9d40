//! Which format a file has: by its first bytes, and by its name where these leave it open.

use std::path::Path;

use super::input::Input;
use super::zeek::Kind;
use super::{argus, nfdump};

/// What is looked at: more than the header of any log.
const HEAD_BYTES: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// pcap or pcapng.
    Capture,
    /// Of Zeek; `None` where only the rows may tell which log it is.
    Zeek(Option<Kind>),
    /// `eve.json`.
    Suricata,
    /// What `ra` prints.
    Argus,
    /// nfdump's files.
    Nfdump,
    /// What `nfdump` prints.
    NfdumpCsv,
    Unknown,
}

/// Looks at the first bytes, which stay in the input.
pub(super) fn recognize(input: &mut Input, path: &Path) -> Format {
    of(input.look(HEAD_BYTES), path)
}

fn of(head: &[u8], path: &Path) -> Format {
    // pcapng, pcap in micro- and nanoseconds and with the modified header, in both byte orders.
    const CAPTURES: [[u8; 4]; 7] = [
        [0x0a, 0x0d, 0x0d, 0x0a],
        [0xa1, 0xb2, 0xc3, 0xd4],
        [0xd4, 0xc3, 0xb2, 0xa1],
        [0xa1, 0xb2, 0x3c, 0x4d],
        [0x4d, 0x3c, 0xb2, 0xa1],
        [0xa1, 0xb2, 0xcd, 0x34],
        [0x34, 0xcd, 0xb2, 0xa1],
    ];
    if head.len() < 4 || CAPTURES.iter().any(|magic| head.starts_with(magic)) {
        // The reader of captures says best what is wrong with a file that holds nothing.
        return Kind::of_name(path).map_or(Format::Capture, |kind| Format::Zeek(Some(kind)));
    }
    if nfdump::MAGICS.iter().any(|magic| head.starts_with(magic)) {
        return Format::Nfdump;
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let first = text.lines().next().unwrap_or_default();
    let named = Kind::of_name(path);
    if first.starts_with("#separator") || text.lines().any(|line| line.starts_with("#fields")) {
        let path = text.lines().find_map(|line| line.strip_prefix("#path"));
        return Format::Zeek(path.and_then(|path| Kind::of_path(path.trim())).or(named));
    }
    if first.starts_with('{') {
        let is_eve = first.contains("\"event_type\"") || named.is_none() && text.contains("\"event_type\"");
        return if is_eve {
            Format::Suricata
        } else {
            Format::Zeek(named)
        };
    }
    if argus::is_header(first) {
        return Format::Argus;
    }
    if nfdump::is_header(first) {
        return Format::NfdumpCsv;
    }
    named.map_or(Format::Unknown, |kind| Format::Zeek(Some(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_before_the_name() {
        let zeek = b"#separator \\x09\n#path\tdns\n#fields\tts\n";
        let by = |head: &[u8], name: &str| of(head, Path::new(name));
        assert_eq!(by(zeek, "conn.log"), Format::Zeek(Some(Kind::Dns)));
        assert_eq!(by(b"\xd4\xc3\xb2\xa1\x02\x00", "x.txt"), Format::Capture);
        assert_eq!(by(b"{\"ts\":1.0,", "conn.log"), Format::Zeek(Some(Kind::Conn)));
        assert_eq!(by(b"{\"ts\":1.0,", "-"), Format::Zeek(None));
        let eve = b"{\"timestamp\":\"x\",\"event_type\":\"flow\"}";
        assert_eq!(by(eve, "-"), Format::Suricata);
        let argus = b"StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State";
        assert_eq!(by(argus, "-"), Format::Argus);
        for csv in [
            "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt",
            "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows",
        ] {
            assert_eq!(by(csv.as_bytes(), "-"), Format::NfdumpCsv);
        }
        assert_eq!(by(&[0x0c, 0xa5, 1, 0, 0], "-"), Format::Nfdump);
        assert_eq!(by(b"", "empty.pcap"), Format::Capture);
        assert_eq!(by(b"hello, world", "x.txt"), Format::Unknown);
    }
}
