//! What services said of an address and what probes found, each with its source and date; a source without an answer is
//! one line with its reason, and never a *no*.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_enrich::dossier::{Dossier, Merged, PARTS};
use lynceus_enrich::fact::{Field, Group, Reason, Source, Value};

use super::{MAX_VALUE, row};
use crate::human;
use crate::table::{Cell, Table};
use crate::text::Tone;

/// Adds a block for each group that somebody spoke of.
pub(super) fn rows(dossier: &Dossier, table: &mut Table) {
    for group in [Group::Said, Group::Probed] {
        let fields: Vec<Merged<'_>> = dossier
            .fields()
            .filter(|merged| merged.field.group() == group)
            .collect();
        if fields.is_empty() {
            continue;
        }
        table.row(Vec::new());
        table.row(vec![Cell::toned(
            Tone::Heading,
            group.heading().unwrap_or_default(),
        )]);
        let silent = silent(&fields);
        let spoke = |merged: &&Merged<'_>| match &merged.value {
            // Whose sources say nothing at all is told once for all fields.
            None => merged
                .unknown
                .iter()
                .any(|(source, _)| !silent.contains_key(source)),
            Some(Value::Set(items)) => !items.is_empty() || merged.field == Field::DnsblListed,
            Some(_) => true,
        };
        let unheard = |merged: &&Merged<'_>| {
            // Then the line of the lists says which did not answer.
            merged.field != Field::DnsblUnknown || dossier.value(Field::DnsblListed).is_some()
        };
        for merged in fields.iter().filter(spoke).filter(unheard) {
            if merged.field == Field::Route {
                route(dossier, merged, table);
            } else if !PARTS.contains(&merged.field) {
                table.row(row(dossier, merged));
            }
        }
        for (source, reason) in silent {
            table.row(vec![
                Cell::toned(Tone::Quiet, source.title()),
                Cell::toned(Tone::Warning, "unknown"),
                "".into(),
                "".into(),
                Cell::toned(Tone::Quiet, human::printable(&reason.to_string(), MAX_VALUE)),
            ]);
        }
    }
}

/// Sources that could say nothing of any of these fields, with the reason of the first.
fn silent<'a>(fields: &[Merged<'a>]) -> BTreeMap<&'a Source, &'a Reason> {
    let heard: BTreeSet<&Source> = fields
        .iter()
        .flat_map(|merged| merged.sources.iter().chain(&merged.others))
        .map(|fact| &fact.source)
        .collect();
    let mut silent = BTreeMap::new();
    for (source, reason) in fields.iter().flat_map(|merged| &merged.unknown) {
        if !heard.contains(source) {
            silent.entry(*source).or_insert(*reason);
        }
    }
    silent
}

/// A line for each step.
fn route(dossier: &Dossier, merged: &Merged<'_>, table: &mut Table) {
    let first = row(dossier, merged);
    let Some(words) = dossier.words(merged) else {
        table.row(first);
        return;
    };
    for (place, step) in words.split(" → ").enumerate() {
        let mut cells = if place == 0 { first.clone() } else { Vec::new() };
        cells.resize(2, Cell::default());
        cells[1] = format!("{:>2} {}", place + 1, human::printable(step, MAX_VALUE)).into();
        if place == 0 {
            cells.extend(first.iter().skip(2).cloned());
        }
        table.row(cells);
    }
}

#[cfg(test)]
mod tests {
    use lynceus_enrich::fact::{Fact, Item};
    use lynceus_model::time::Timestamp;

    use super::*;

    fn text(facts: Vec<Fact>) -> String {
        let mut dossier = Dossier::new("192.0.2.1".parse().unwrap(), Timestamp(0));
        dossier.extend(facts);
        let lines = super::super::lines(&dossier, None);
        let lines: Vec<String> = lines.iter().map(crate::text::Line::plain).collect();
        lines.join("\n")
    }

    #[test]
    fn who_said_what_and_who_did_not_answer() {
        let at = Timestamp::from_secs(1_782_907_200);
        let fact = |field, source, value: Value| Fact::new(field, value, Source::new(source)).as_of(at);
        let no_key = |field| {
            Fact::unknown(
                field,
                Reason::NotAsked("needs a key".into()),
                Source::new("virustotal"),
            )
        };
        let said = text(vec![
            fact(Field::Reputation, "greynoise", "malicious".into()),
            fact(Field::Actor, "greynoise", "Mirai".into()),
            fact(
                Field::Behaviors,
                "crowdsec",
                [Item::from("ssh:bruteforce")].into_iter().collect(),
            ),
            fact(Field::Reputation, "crowdsec", "suspicious".into()),
            no_key(Field::MaliciousCount),
            no_key(Field::HarmlessCount),
            fact(
                Field::DnsblListed,
                "dnsbl",
                ["a.example", "b.example"].map(Item::from).into_iter().collect(),
            ),
            fact(
                Field::Route,
                "traceroute",
                "192.0.2.9 1.0 ms → * → 192.0.2.1 2.0 ms".into(),
            ),
            fact(Field::RouteReached, "traceroute", true.into()),
        ]);
        let words: Vec<String> = said
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in [
            "what others said",
            "DNS block lists a.example, b.example DNS block lists 2026-07-01",
            "reputation malicious GreyNoise 2026-07-01 1 of 2 sources; CrowdSec says suspicious",
            "known as Mirai GreyNoise 2026-07-01",
            "behaviors ssh:bruteforce CrowdSec 2026-07-01",
            "VirusTotal unknown not asked: needs a key",
            "what probes found",
            "route 1 192.0.2.9 1.0 ms traceroute 2026-07-01",
            "2 *",
            "3 192.0.2.1 2.0 ms",
        ] {
            assert!(words.iter().any(|said| said == line), "{line}\n{said}");
        }
        assert_eq!(said.matches("VirusTotal").count(), 1, "{said}");
    }

    #[test]
    fn nobody_asked_makes_no_block() {
        let said = text(vec![Fact::new(Field::Asn, 64496_u32, Source::new("asn"))]);
        assert!(
            !said.contains("what others") && !said.contains("what probes"),
            "{said}"
        );
    }
}
