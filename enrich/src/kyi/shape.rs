//! Rows of a table of addresses, in Know Your IP's three shapes.
//!
//! - *raw*: a cell for each column that was asked for, as the source says it;
//! - *canonical*: for each field the consensus, its sources, whether they agree, and what they say where they do not;
//! - *tidy*: a row for each field and source.
//!
//! What is not known is an empty cell (absent in JSON); it is never `False`.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::columns::{Origin, origin};
use crate::dossier::{Dossier, Merged};
use crate::fact::{Fact, Field, Item, Value, field_of, speaker};
use crate::provider::Answer;

/// How a row looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    #[default]
    Canonical,
    Raw,
    Tidy,
}

/// Know Your IP's canonical fields in its order; ours follow.
const FIRST: [Field; 25] = [
    Field::CountryCode,
    Field::CountryName,
    Field::City,
    Field::Latitude,
    Field::Longitude,
    Field::Timezone,
    Field::RegisteredCountryCode,
    Field::Asn,
    Field::AsName,
    Field::Network,
    Field::Isp,
    Field::ReverseDns,
    Field::AbuseEmail,
    Field::RegistryHandle,
    Field::AllocatedAt,
    Field::IsRoutable,
    Field::IsTor,
    Field::IsHosting,
    Field::HostingProvider,
    Field::IsCdn,
    Field::IsSearchBot,
    Field::BotName,
    Field::AbuseScore,
    Field::MaliciousCount,
    Field::Ports,
];

/// What is known about one address.
#[derive(Clone, Debug)]
pub struct Known {
    pub dossier: Dossier,
    pub answers: Vec<Answer>,
}

/// Makes rows of one shape.
#[derive(Clone, Debug)]
pub struct Table {
    shape: Shape,
    /// Of the raw shape.
    columns: Vec<String>,
}

impl Table {
    /// `columns`: those of the raw shape, in their order; other shapes have their own.
    #[must_use]
    pub fn new(shape: Shape, columns: Vec<String>) -> Self {
        let columns = match shape {
            Shape::Raw => columns,
            Shape::Tidy => ["ip", "field", "source", "value"].map(str::to_owned).to_vec(),
            Shape::Canonical => {
                let mut names = vec!["ip".to_owned()];
                for field in fields() {
                    let name = field.name();
                    names.push(name.to_owned());
                    names.extend(["sources", "agree", "values"].map(|what| format!("{name}.{what}")));
                }
                names
            }
        };
        Self { shape, columns }
    }

    /// Names of the columns: the header.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.columns
    }

    /// Columns of the raw shape that nobody answers any more, with the reason.
    #[must_use]
    pub fn gone(&self) -> Vec<(&str, &'static str)> {
        let columns = self.columns.iter().filter(|_| self.shape == Shape::Raw);
        columns
            .filter_map(|column| match origin(column) {
                Origin::Gone(why) => Some((column.as_str(), why)),
                _ => None,
            })
            .collect()
    }

    /// The rows of one address: one, or in the tidy shape one for each fact. As many cells as the header has.
    #[must_use]
    pub fn rows(&self, known: &Known) -> Vec<Vec<String>> {
        match self.shape {
            Shape::Tidy => tidy(known)
                .map(|(field, source, value)| {
                    vec![
                        known.dossier.ip.to_string(),
                        field.to_owned(),
                        source.to_owned(),
                        cell(&value),
                    ]
                })
                .collect(),
            _ => {
                let mut object = self.object(known);
                let cells = self.columns.iter().map(|column| {
                    object
                        .remove(column.as_str())
                        .as_ref()
                        .map_or_else(String::new, cell)
                });
                vec![cells.collect()]
            }
        }
    }

    /// The same as JSON objects. What is not known is absent.
    #[must_use]
    pub fn objects(&self, known: &Known) -> Vec<Map<String, Json>> {
        let ip = known.dossier.ip;
        match self.shape {
            Shape::Tidy => tidy(known)
                .map(|(field, source, value)| {
                    let mut object = Map::new();
                    object.insert("ip".to_owned(), ip.to_string().into());
                    object.insert("field".to_owned(), field.into());
                    object.insert("source".to_owned(), source.into());
                    object.insert("value".to_owned(), value);
                    object
                })
                .collect(),
            _ => vec![self.object(known)],
        }
    }

    fn object(&self, known: &Known) -> Map<String, Json> {
        let mut object = Map::new();
        object.insert("ip".to_owned(), known.dossier.ip.to_string().into());
        if self.shape == Shape::Canonical {
            for field in fields() {
                if let Some(merged) = known.dossier.field(field) {
                    canonical(&mut object, &merged);
                }
            }
            return object;
        }
        for column in &self.columns {
            let value = match origin(column) {
                Origin::Address => Some(known.dossier.ip.to_string().into()),
                Origin::Column(name) => raw(known, name),
                Origin::Gone(_) => None,
            };
            if let Some(value) = value {
                object.insert(column.clone(), value);
            }
        }
        object
    }
}

fn fields() -> impl Iterator<Item = Field> {
    let own = Field::ALL.iter().copied().filter(|field| !FIRST.contains(field));
    FIRST.into_iter().chain(own)
}

/// A raw column: of a provider's answer, its status or error, else of a fact of our own tables.
fn raw(known: &Known, name: &str) -> Option<Json> {
    let (source, column) = name.split_once('.')?;
    let answered = known.answers.iter().find_map(|answer| answer.column(name));
    if let Some(value) = answered {
        return Some(value.clone());
    }
    if let Some(answer) = known.answers.iter().find(|answer| answer.provider == source) {
        match column {
            "status" => return Some(answer.status.name().into()),
            "error" => return answer.error.as_deref().map(Json::from),
            "from_cache" => return Some(answer.from_cache.into()),
            _ => {}
        }
    }
    let field = field_of(source, column)?;
    let speaker = speaker(source, column);
    let of_it = |fact: &&Fact| fact.field == field && fact.source.name() == speaker;
    let fact = known.dossier.facts().iter().find(of_it)?;
    json(&fact.value)
}

fn canonical(object: &mut Map<String, Json>, merged: &Merged<'_>) {
    let Some(value) = merged.value.as_ref().and_then(json) else {
        return;
    };
    let name = merged.field.name();
    let sources = merged.sources.iter().map(|fact| Json::from(fact.source.name()));
    object.insert(name.to_owned(), value);
    object.insert(format!("{name}.sources"), sources.collect());
    if let Some(agree) = merged.agree() {
        object.insert(format!("{name}.agree"), agree.into());
        if !agree {
            let all = merged.sources.iter().chain(&merged.others);
            let said = all.filter_map(|fact| {
                let value = cell(&json(&fact.value)?);
                Some(Json::from(format!("{}={value}", fact.source.name())))
            });
            object.insert(format!("{name}.values"), said.collect());
        }
    }
}

/// Field, source and value of everything that somebody said: facts first, then columns that are no facts.
fn tidy(known: &Known) -> impl Iterator<Item = (&str, &str, Json)> {
    let facts = known.dossier.facts().iter();
    // What a source said to the dossier counts; the same said again by its provider, perhaps in Know Your IP's words, is no
    // second line.
    let mut said = BTreeSet::new();
    let facts = facts
        .filter(move |fact| fact.value.is_known() && said.insert((fact.field, &fact.source)))
        .filter_map(|fact| Some((fact.field.name(), fact.source.name(), json(&fact.value)?)));
    let columns = known.answers.iter().flat_map(|answer| &answer.columns);
    let rest = columns.filter_map(|(name, value)| {
        let (source, column) = name.split_once('.')?;
        field_of(source, column)
            .is_none()
            .then(|| (column, source, value.clone()))
    });
    facts.chain(rest)
}

/// `None`: unknown, or no number that JSON can write.
fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Text(text) => text.as_ref().into(),
        Value::Integer(number) => (*number).into(),
        Value::Real(number) => serde_json::Number::from_f64(*number)?.into(),
        Value::Flag(flag) => (*flag).into(),
        Value::Set(items) => items
            .iter()
            .map(|item| match item {
                Item::Integer(number) => Json::from(*number),
                Item::Text(text) => Json::from(text.as_str()),
            })
            .collect(),
        Value::Unknown(_) => return None,
    })
}

/// Text of a cell, as Know Your IP writes it: Python's names of truth, lists between bars, no line breaks.
fn cell(value: &Json) -> String {
    let text = match value {
        Json::Null => String::new(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("|"),
        Json::Object(_) => value.to_string(),
    };
    if text.contains(['\n', '\r', '\0']) {
        return text.replace(['\n', '\r', '\0'], " ");
    }
    text
}

/// A cell that no spreadsheet takes for a formula: what a stranger wrote into DNS must not run on the reader's machine.
#[must_use]
pub fn harmless(cell: &str) -> String {
    let number = cell.parse::<f64>().is_ok();
    if cell.starts_with(['=', '+', '-', '@', '\t']) && !number {
        return format!("'{cell}");
    }
    cell.to_owned()
}
