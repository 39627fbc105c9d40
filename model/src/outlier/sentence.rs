//! An account in words.

use std::fmt::Write as _;

use super::score::{Account, Term};
use super::{Counterfactual, FEATURES, Past, Reference};

/// "97 % of the score is dst_ips = 4,210 (peers' median 6, p99 88; own median 5; 1 in 10^6)". `None` for a window
/// without any term, and "nothing of it is odd" where all values are in the middle of what is usual.
#[must_use]
pub fn of(account: &Account, peers: &[Reference], own: Option<&Past>) -> Option<String> {
    let first = account.terms.first()?;
    if account.score <= 0.0 {
        return Some("nothing of it is odd".to_owned());
    }
    let mut text = format!(
        "{:.0} % of the score is {}",
        100.0 * account.share(first),
        term(first, peers, own)
    );
    for other in account.strongest().iter().skip(1) {
        // What adds less than a twentieth is not worth the reader's time.
        if account.share(other) >= 0.05 {
            let _ = write!(
                text,
                "; {:.0} % {}",
                100.0 * account.share(other),
                term(other, peers, own)
            );
        }
    }
    Some(text)
}

/// "dst_ips = 4,210 (peers' median 6, p99 88; own mean 5; 1 in 10^6)".
#[must_use]
pub fn term(term: &Term, peers: &[Reference], own: Option<&Past>) -> String {
    let mut known = Vec::new();
    if let Some((median, p99)) = peers.get(term.feature).and_then(Reference::usual) {
        known.push(format!(
            "peers' median {}, p99 {}",
            bare(term.feature, median),
            bare(term.feature, p99)
        ));
    }
    if let Some(summary) = own.and_then(|own| own.summary(term.feature)) {
        known.push(format!(
            "own mean {} in {}",
            bare(term.feature, summary.center(term.feature)),
            windows(summary.count.into()),
        ));
    }
    known.push(odds(term.nats, term.peers.extrapolated));
    format!(
        "{} = {} ({})",
        term.name(),
        quantity(term.feature, term.value),
        known.join("; ")
    )
}

/// "would not be flagged below dst_ips = 131", or that no single feature decides.
#[must_use]
pub fn counterfactual(found: Option<&Counterfactual>) -> String {
    match found {
        Some(found) => format!(
            "would not be flagged {} {} = {}",
            if found.below { "below" } else { "above" },
            FEATURES[found.feature].name,
            quantity(found.feature, found.limit)
        ),
        None => "no single feature alone would change that it is flagged".to_owned(),
    }
}

/// "1 window", "1,204 windows".
#[must_use]
pub fn windows(count: u64) -> String {
    let word = if count == 1 { "window" } else { "windows" };
    format!("{} {word}", number(count as f64))
}

/// "12 of 200 windows over 3.0 of 24.0 hours", how warm a baseline is; what is reached already is said without its goal.
#[must_use]
pub fn progress((known, wanted): (u64, u64), (hours, wanted_hours): (f64, f64)) -> String {
    let windows = if known < wanted {
        format!("{} of {}", number(known as f64), windows(wanted))
    } else {
        windows(known)
    };
    if hours < wanted_hours {
        format!("{windows} over {hours:.1} of {wanted_hours:.1} hours")
    } else {
        format!("{windows} over {hours:.1} hours")
    }
}

/// That so few windows of peers say nothing.
#[must_use]
pub fn few_peers(count: u64, role: &str) -> String {
    format!(
        "too few peers to say: {} of role {role}, {} are wanted",
        windows(count),
        Reference::MIN_COUNT
    )
}

/// "1 in 40", "1 in 10^6"; with "about" where the data do not reach so far.
#[must_use]
pub fn odds(nats: f64, extrapolated: bool) -> String {
    let about = if extrapolated { "about " } else { "" };
    let tens = nats / std::f64::consts::LN_10;
    if tens < 3.0 {
        format!("{about}1 in {:.0}", libm::exp(nats))
    } else {
        format!("{about}1 in 10^{tens:.0}")
    }
}

/// A value with its unit, where that is not what the name says already.
#[must_use]
pub fn quantity(feature: usize, value: f64) -> String {
    let text = bare(feature, value);
    match FEATURES.get(feature).map_or("", |info| info.unit) {
        unit @ ("seconds" | "bits" | "bytes" | "nats" | "flows/min") => format!("{text} {unit}"),
        _ => text,
    }
}

/// A value beside one that has its unit: only ratios, which are percentages, need theirs again.
#[must_use]
pub fn bare(feature: usize, value: f64) -> String {
    if FEATURES.get(feature).is_some_and(|info| info.unit == "ratio") {
        format!("{:.1} %", 100.0 * value)
    } else {
        number(value)
    }
}

/// Thousands apart; few digits for what is no whole number.
#[must_use]
pub fn number(value: f64) -> String {
    let is_whole = (value - value.round()).abs() <= 1e-3 * value;
    if !is_whole && value < 100.0 {
        return if value < 1.0 {
            format!("{value:.3}")
        } else {
            format!("{value:.1}")
        };
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::{peers, values_of};
    use super::*;
    use crate::outlier::Scorer;

    #[test]
    fn an_account_reads_as_a_sentence() {
        let mut own = Past::new();
        (0..9).for_each(|_| own.learn(&values_of(&[(3, 5.0)])));
        let scorer = Scorer {
            peers: peers(),
            own: Some(&own),
        };
        let account = scorer.account(&values_of(&[(0, 14.0), (3, 4_210.0)]));
        assert_eq!(
            of(&account, peers(), Some(&own)).unwrap(),
            "100 % of the score is dst_ips = 4,210 (peers' median 13, p99 188; own mean 5 in 9 windows; about 1 in \
             10^12)"
        );
        assert_eq!(of(&scorer.account(&values_of(&[])), peers(), None), None);
        let scorer = Scorer {
            peers: peers(),
            own: None,
        };
        let usual = scorer.account(&values_of(&[(0, 13.0)]));
        assert_eq!(of(&usual, peers(), None).unwrap(), "nothing of it is odd");
    }

    #[test]
    fn numbers_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.250"),
            (6.5, "6.5"),
            (1_234_567.4, "1,234,567"),
            (999.0, "999"),
        ] {
            assert_eq!(number(value), text);
        }
        let text = progress((0, 200), (0.0, 24.0));
        assert_eq!(text, "0 of 200 windows over 0.0 of 24.0 hours");
        let text = progress((2_556, 200), (23.0, 24.0));
        assert_eq!(text, "2,556 windows over 23.0 of 24.0 hours");
        assert_eq!(
            progress((150, 200), (30.0, 24.0)),
            "150 of 200 windows over 30.0 hours"
        );
        assert_eq!(odds(3.0, false), "1 in 20");
        assert_eq!(odds(13.8, true), "about 1 in 10^6");
        assert_eq!(quantity(2, 0.125), "12.5 %");
        assert_eq!(bare(2, 1.0), "100.0 %");
        assert_eq!(bare(0, 1.0), "1");
    }
}
