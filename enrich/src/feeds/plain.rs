//! One indicator a line, and hosts files.

use std::io::{self, BufRead};

use super::read::{Into, line};

/// Longest line that is looked at.
const MAX_LINE: usize = 4096;

pub(super) fn read(input: &mut dyn BufRead, into: &mut Into<'_>) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut number = 0;
    let meta = into.meta();
    while line(input, &mut bytes, MAX_LINE)? {
        number += 1;
        let text = String::from_utf8_lossy(&bytes);
        let text = without_comment(&text);
        if text.is_empty() {
            continue;
        }
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        // A hosts file: where to send it, then names.
        let hosts = matches!(first, "0.0.0.0" | "127.0.0.1" | "::" | "::1") && text.len() > first.len();
        let before = into.outcome.indicators;
        if hosts {
            for indicator in words.filter_map(|name| into.parse(name)).collect::<Vec<_>>() {
                into.add(&indicator, &meta);
            }
        } else if let Some(indicator) = into.parse(text).or_else(|| into.parse(first)) {
            into.add(&indicator, &meta);
        }
        if into.outcome.indicators == before && !(hosts && text.ends_with("localhost")) {
            into.outcome.refuse(number, text);
        }
    }
    Ok(())
}

/// Without what stands behind `#` or `;`. A `#` inside a URL is a fragment, which has no space before it.
fn without_comment(line: &str) -> &str {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.starts_with(['#', ';']) || line.starts_with("//") {
        return "";
    }
    let cut = [" #", "\t#", " ;", "\t;"]
        .iter()
        .filter_map(|mark| line.find(mark))
        .min();
    line[..cut.unwrap_or(line.len())].trim()
}

#[cfg(test)]
mod tests {
    use crate::feeds::index::Builder;
    use crate::feeds::read::{Options, read};

    #[test]
    fn comments_hosts_and_bad_lines() {
        let text = "# Feed\n192.0.2.1 # why\n198.51.100.0/24 ; SBL1\n0.0.0.0 evil.example other.example\n127.0.0.1 localhost\n\
                    http://a.example/x#y\nnot an indicator\n\n";
        let mut builder = Builder::default();
        let outcome = read(text.as_bytes(), &Options::default(), &mut builder).unwrap();
        assert_eq!((outcome.indicators, outcome.bad), (5, 1));
        assert_eq!(outcome.examples, [(7, "not an indicator".to_owned())]);
    }
}
