//! Indicators in one normal form, so that two ways to write the same thing are the same thing.

use std::net::IpAddr;

/// What an indicator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Ip,
    Network,
    Domain,
    Url,
    AutonomousSystem,
    Ja3,
    Ja3s,
    Ja4,
    /// SHA-1 of a certificate.
    Certificate,
    /// MD5, SHA-1 or SHA-256 of a file.
    File,
    Jarm,
    TorExit,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Ip,
        Self::Network,
        Self::Domain,
        Self::Url,
        Self::AutonomousSystem,
        Self::Ja3,
        Self::Ja3s,
        Self::Ja4,
        Self::Certificate,
        Self::File,
        Self::Jarm,
        Self::TorExit,
    ];

    /// Name in configuration and columns.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::AutonomousSystem => "asn",
            Self::Ja3 => "ja3",
            Self::Ja3s => "ja3s",
            Self::Ja4 => "ja4",
            Self::Certificate => "certificate",
            Self::File => "file",
            Self::Jarm => "jarm",
            Self::TorExit => "tor-exit",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where an indicator is looked for: the kind, and the bytes that two spellings of it share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// An indicator as a feed lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indicator {
    Key(Key),
    Network { first: IpAddr, last: IpAddr },
}

/// Longest key. A longer URL is a hash of itself elsewhere; here it is refused.
pub const MAX_KEY: usize = 2048;

impl Key {
    /// Normal form of `text` as a `kind`; `None` if it is not one.
    #[must_use]
    pub fn new(kind: Kind, text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = match kind {
            Kind::Ip | Kind::TorExit => return Some(Self::ip(kind, text.parse().ok()?)),
            Kind::Network => return None,
            Kind::Domain => domain(text)?,
            Kind::Url => url(text)?,
            Kind::AutonomousSystem => {
                let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
                return Some(Self::autonomous_system(digits.unwrap_or(text).parse().ok()?));
            }
            Kind::Ja3 | Kind::Ja3s => hex(text).filter(|bytes| bytes.len() == 16)?,
            Kind::Certificate => hex(&text.replace(':', "")).filter(|bytes| bytes.len() == 20)?,
            Kind::File => hex(text).filter(|bytes| matches!(bytes.len(), 16 | 20 | 32))?,
            Kind::Jarm => hex(text).filter(|bytes| bytes.len() == 31)?,
            Kind::Ja4 => ja4(text)?,
        };
        (bytes.len() <= MAX_KEY).then_some(Self { kind, bytes })
    }

    #[must_use]
    pub fn ip(kind: Kind, ip: IpAddr) -> Self {
        let bytes = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        Self { kind, bytes }
    }

    #[must_use]
    pub fn autonomous_system(number: u32) -> Self {
        Self {
            kind: Kind::AutonomousSystem,
            bytes: number.to_be_bytes().to_vec(),
        }
    }
}

impl Indicator {
    /// Reads `text` as a `kind`.
    #[must_use]
    pub fn of_kind(kind: Kind, text: &str) -> Option<Self> {
        if kind == Kind::Network {
            return network(&refang(text));
        }
        Key::new(kind, &refang(text)).map(Self::Key)
    }

    /// Reads what shows by its form what it is: address, network, range, URL, `AS` number, SHA-256, JA4, domain. A bare
    /// MD5 or SHA-1 may be many things and is a file's here.
    #[must_use]
    pub fn guess(text: &str) -> Option<Self> {
        let text = refang(text);
        let text = text.as_str();
        if let Ok(ip) = text.parse() {
            return Some(Self::Key(Key::ip(Kind::Ip, ip)));
        }
        if let Some(network) = network(text) {
            return Some(network);
        }
        if text.contains("://") {
            return Key::new(Kind::Url, text).map(Self::Key);
        }
        let number = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
        if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
            return Some(Self::Key(Key::autonomous_system(number)));
        }
        [Kind::File, Kind::Jarm, Kind::Ja4, Kind::Domain]
            .into_iter()
            .find_map(|kind| Key::new(kind, text))
            .map(Self::Key)
    }

    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Key(key) => key.kind,
            Self::Network { .. } => Kind::Network,
        }
    }
}

/// Takes back what reports do to links so that nobody clicks on them: `hxxp://evil[.]example`.
fn refang(text: &str) -> String {
    let text = text.trim().trim_matches(['"', '\'']);
    let text = text.replace("[.]", ".").replace("(.)", ".").replace("[:]", ":");
    match text.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("hxxp") => format!("http{}", &text[4..]),
        _ => text,
    }
}

/// `address/prefix` or `first-last`.
fn network(text: &str) -> Option<Indicator> {
    if let Some((address, prefix)) = text.split_once('/') {
        let prefix: u32 = prefix.parse().ok()?;
        let (first, last): (IpAddr, IpAddr) = match address.parse().ok()? {
            IpAddr::V4(ip) => {
                let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
                let first = ip.to_bits() & !host;
                (prefix <= 32).then(|| (IpAddr::V4(first.into()), IpAddr::V4((first | host).into())))?
            }
            IpAddr::V6(ip) => {
                let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
                let first = ip.to_bits() & !host;
                (prefix <= 128).then(|| (IpAddr::V6(first.into()), IpAddr::V6((first | host).into())))?
            }
        };
        return Some(Indicator::Network { first, last });
    }
    let (first, last) = text.split_once('-')?;
    let (first, last): (IpAddr, IpAddr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Indicator::Network { first, last })
}

/// Lower case, without the root's dot and without `*.` in front: a listed domain lists what is below it.
fn domain(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let text = text
        .strip_prefix("*.")
        .or_else(|| text.strip_prefix('.'))
        .unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next()?;
    let good = text.len() <= 253
        && text.contains('.')
        && text.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.to_ascii_lowercase().into_bytes())
}

/// Scheme and host in lower case, without fragment; `/` where there is no path.
fn url(text: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = text.split_once("://")?;
    let rest = rest.split('#').next()?;
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(cut);
    let good = !host.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let slash = if path.starts_with('/') { "" } else { "/" };
    good.then(|| {
        let (scheme, host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
        format!("{scheme}://{host}{slash}{path}").into_bytes()
    })
}

/// `t13d1516h2_8daaf6152771_02713d6af862`: ten characters and two hashes of twelve digits.
fn ja4(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('_');
    let (head, first, second) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let good = parts.next().is_none()
        && head.len() == 10
        && matches!(head.as_bytes()[0], b't' | b'q' | b'd')
        && head.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && digits(first)
        && digits(second);
    good.then(|| text.to_ascii_lowercase().into_bytes())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    text.len().is_multiple_of(2).then_some(())?;
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(text: &str) -> Option<Kind> {
        Indicator::guess(text).map(|indicator| indicator.kind())
    }

    #[test]
    fn forms_are_told_apart() {
        assert_eq!(guessed("192.0.2.1"), Some(Kind::Ip));
        assert_eq!(guessed("2001:db8::1"), Some(Kind::Ip));
        assert_eq!(guessed("192.0.2.0/24"), Some(Kind::Network));
        assert_eq!(guessed("192.0.2.1-192.0.2.9"), Some(Kind::Network));
        assert_eq!(guessed("hxxps://evil[.]example/a"), Some(Kind::Url));
        assert_eq!(guessed("AS64500"), Some(Kind::AutonomousSystem));
        assert_eq!(guessed("Evil.Example."), Some(Kind::Domain));
        assert_eq!(guessed("t13d1516h2_8daaf6152771_02713d6af862"), Some(Kind::Ja4));
        assert_eq!(guessed("d41d8cd98f00b204e9800998ecf8427e"), Some(Kind::File));
        for nothing in [
            "",
            "example",
            "1.2.3",
            "300.1.1.1",
            "a b",
            "192.0.2.0/33",
            "192.0.2.9-192.0.2.1",
            "x_y_z",
        ] {
            assert_eq!(guessed(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn spellings_of_one_thing_are_one_key() {
        let same =
            |kind, a: &str, b: &str| assert_eq!(Key::new(kind, a).unwrap(), Key::new(kind, b).unwrap());
        same(Kind::Domain, "*.Evil.Example", "evil.example.");
        same(Kind::Url, "HTTP://Evil.example", "http://evil.EXAMPLE/#top");
        same(
            Kind::Certificate,
            "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
            "aabbccddeeff00112233445566778899aabbccdd",
        );
        same(Kind::Ip, "::ffff:192.0.2.1", "192.0.2.1");
        same(Kind::AutonomousSystem, "AS13335", "13335");
    }

    #[test]
    fn networks_have_their_ends() {
        let ends = |text: &str| match Indicator::guess(text) {
            Some(Indicator::Network { first, last }) => (first.to_string(), last.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            ends("192.0.2.77/24"),
            ("192.0.2.0".to_owned(), "192.0.2.255".to_owned())
        );
        assert_eq!(ends("0.0.0.0/0").1, "255.255.255.255");
        assert_eq!(ends("2001:db8::/32").1, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    }
}
