//! Threat feeds that a command reads itself, and what is told of lines that are no indicators.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lynceus_collector::feeds::{FeedConfig, Loaded, load_once};
use lynceus_collector::knowledge::Facts;
use lynceus_enrich::feeds::read::Outcome;

use super::say;
use super::settings::own_cache;
use crate::human;

/// Feeds of the named files, for those who only look addresses up.
///
/// # Errors
/// One cannot be read.
pub(super) fn named(paths: &[PathBuf]) -> anyhow::Result<Arc<Facts>> {
    let facts = Arc::new(Facts::default());
    read_once(paths.iter().map(|path| of_file(path)).collect(), None, &facts)?;
    Ok(facts)
}

/// Whoever names a feed wants it read.
///
/// # Errors
/// A feed or the whitelist cannot be read.
pub(super) fn read_once(
    feeds: Vec<FeedConfig>,
    whitelist: Option<PathBuf>,
    facts: &Arc<Facts>,
) -> anyhow::Result<()> {
    let loaded = load_once(feeds.clone(), whitelist, &own_cache("feeds"), Arc::clone(facts))?;
    tell(&feeds, &loaded);
    let known = facts.known();
    let unread = known.iter().find(|feed| feed.taken.is_none());
    match unread.and_then(|feed| feed.error.clone()) {
        Some(error) => Err(anyhow::anyhow!(error)),
        None => Ok(()),
    }
}

/// A file as a feed, by its own name.
pub(super) fn of_file(path: &Path) -> FeedConfig {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let name: String = name
        .chars()
        .map(|letter| if plain(letter) { letter } else { '_' })
        .take(64)
        .collect();
    FeedConfig::file(name.trim_start_matches('.'), path)
}

/// Tells what was not understood: these commands keep no log.
pub(super) fn tell(feeds: &[FeedConfig], loaded: &[Loaded]) {
    for (name, outcome) in loaded {
        let path = feeds.iter().find(|feed| feed.name == *name);
        let path = path.and_then(|feed| feed.path.as_ref());
        let shown = path.map_or_else(|| format!("feed {name}"), |path| path.display().to_string());
        lines(&shown, outcome).iter().for_each(|line| say(line));
    }
}

/// The first lines that are no indicators, then the counts; nothing of a feed that was understood.
fn lines(feed: &str, outcome: &Outcome) -> Vec<String> {
    let mut lines: Vec<String> = outcome
        .examples
        .iter()
        .map(|(number, text)| {
            format!(
                "{feed}, line {number}: not an indicator: {}",
                human::printable(text, 80)
            )
        })
        .collect();
    let mut counts = vec![match outcome.indicators {
        0 => "no indicator".to_owned(),
        some => human::plural(some, "indicator", "indicators"),
    }];
    if outcome.bad > 0 {
        counts.push(human::plural(outcome.bad, "bad line", "bad lines"));
    }
    if outcome.expired > 0 {
        counts.push(format!("{} expired", human::count(outcome.expired)));
    }
    if outcome.indicators == 0 || outcome.bad > 0 {
        lines.push(format!("{feed}: {}", counts.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn told(text: &[u8]) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let facts = Arc::new(Facts::default());
        let cache = tempfile::tempdir().unwrap();
        let feeds = vec![FeedConfig::file("f", file.path())];
        let loaded = load_once(feeds, None, cache.path(), facts).unwrap();
        loaded
            .iter()
            .flat_map(|(name, outcome)| lines(name, outcome))
            .collect()
    }

    #[test]
    fn lines_that_are_no_indicators_are_told_with_their_numbers() {
        assert_eq!(
            told(b"foo\n1.2.3.4\n300.1.1.1\n"),
            [
                "f, line 1: not an indicator: foo",
                "f, line 3: not an indicator: 300.1.1.1",
                "f: 1 indicator, 2 bad lines"
            ]
        );
        assert_eq!(told(b"1.2.3.4\n# why\n"), Vec::<String>::new());
    }

    #[test]
    fn a_feed_without_any_indicator_is_told_as_such() {
        assert_eq!(told(b""), ["f: no indicator"]);
        let text = told(b"hello world\n");
        assert_eq!(text.last().unwrap(), "f: no indicator, 1 bad line");
        // Of many, the first five.
        let text = told(b"foo\n".repeat(12).as_slice());
        assert_eq!(text.len(), 6);
        assert_eq!(text[5], "f: no indicator, 12 bad lines");
        // Bytes of no text must not reach the terminal as they are.
        let text = told(&[0x1b, b'[', b'2', b'J', b'\n']).join("\n");
        assert!(!text.contains('\x1b'), "{text}");
    }
}
