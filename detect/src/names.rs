//! Names as they stand in traffic: registrable domains, randomness, and text that is safe to show.

use std::borrow::Cow;

/// The registrable domain (public suffix and one label more): `example.co.uk` of `www.example.co.uk`. A name that has
/// none (a suffix alone, a single label) stands for itself.
pub(crate) fn registrable(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    psl::domain_str(name).unwrap_or(name)
}

/// The name ends in a suffix of the public list, and has something before it.
pub(crate) fn is_public(name: &str) -> bool {
    psl::domain(name.as_bytes()).is_some_and(|domain| domain.suffix().is_known())
}

/// Names that are not of the public DNS: `.local` (RFC 6762), reverse look-ups, `localhost`, single labels.
pub(crate) fn is_own(name: &str) -> bool {
    let Some(dot) = name.bytes().rposition(|byte| byte == b'.') else {
        return true;
    };
    matches!(
        &name[dot + 1..],
        "local" | "arpa" | "localhost" | "localdomain" | "internal" | "lan"
    )
}

/// Shannon entropy in bits per character; 0 for an empty text.
pub(crate) fn entropy(text: &str) -> f64 {
    if text.is_ascii() {
        // Nearly every name, without a map.
        let mut counts = [0_u32; 128];
        text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
        return entropy_of(counts.into_iter().filter(|count| *count > 0));
    }
    let mut counts = std::collections::BTreeMap::<char, u32>::new();
    for character in text.chars() {
        *counts.entry(character).or_default() += 1;
    }
    entropy_of(counts.values().copied())
}

/// Of how often each thing comes; the order of things is the order in which shares are added up.
fn entropy_of(counts: impl Iterator<Item = u32> + Clone) -> f64 {
    let all = f64::from(counts.clone().sum::<u32>());
    counts
        .map(|count| f64::from(count) / all)
        .map(|share| -share * share.log2())
        .sum::<f64>()
        .max(0.0)
}

/// Longest text out of traffic that is put into an evidence, in characters.
const MAX_SHOWN: usize = 200;

/// Text that somebody else chose: no control characters, not too long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).map(visible).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The same for a whole text of an evidence, which may hold several such.
pub(crate) fn clean(text: &mut String) {
    const MAX: usize = 10 * MAX_SHOWN;
    if let Some((at, _)) = text.char_indices().nth(MAX) {
        text.truncate(at);
        text.push('…');
    }
    if text.chars().any(|character| visible(character) != character) {
        *text = text.chars().map(visible).collect();
    }
}

/// Control characters, and marks that turn the direction of what follows, could make a screen show another text.
const fn visible(character: char) -> char {
    match character {
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        other => other,
    }
}

/// Host of a `Host` header or URI authority: lower case, without port.
pub(crate) fn host_name(host: &str) -> Cow<'_, str> {
    let host = host.trim();
    let name = match host.strip_prefix('[') {
        // An IPv6 address in brackets.
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => match host.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                name
            }
            _ => host,
        },
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// `name` is `domain` or below it.
pub(crate) fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        assert_eq!(registrable("a.b.example.co.uk"), "example.co.uk");
        assert_eq!(registrable("www.Example.com."), "Example.com");
        // Labels of escaped bytes are longer than DNS allows.
        let long = format!("{}.example.com", "\\200".repeat(60));
        assert_eq!((registrable(&long), is_public(&long)), ("example.com", true));
        assert_eq!((registrable("com"), registrable("printer")), ("com", "printer"));
        assert!(is_public("example.com") && !is_public("com") && !is_public("host.corp-net"));
        assert!(is_own("printer") && is_own("1.0.0.10.in-addr.arpa") && !is_own("example.com"));
        assert!(is_under("a.b.c", "b.c") && is_under("b.c", "b.c") && !is_under("ab.c", "b.c"));
        for (host, name) in [
            ("Example.com:8080", "example.com"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("a.b.", "a.b"),
        ] {
            assert_eq!(host_name(host), name);
        }
    }

    #[test]
    fn randomness() {
        assert_eq!((entropy(""), entropy("aaaa")), (0.0, 0.0));
        assert_eq!(entropy("abcdefgh"), 3.0);
        assert_eq!(shown("a\u{7}b"), "a\u{fffd}b");
        let mut text = format!("{}\u{202e}\n", "x".repeat(5_000));
        clean(&mut text);
        assert_eq!(text.chars().count(), 10 * MAX_SHOWN + 1);
        text = "a\u{202e}\nb".to_owned();
        clean(&mut text);
        assert_eq!(text, "a\u{fffd}\u{fffd}b");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), MAX_SHOWN + 1);
    }
}
