//! Rows as Zeek writes them: TSV with a header, or JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lynceus_model::time::Timestamp;
use serde_json::{Map, Number, Value as Json};

use super::columns::Log;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Zeek's ASCII writer: tab-separated, `-` for unset, `(empty)` for empty.
    Tsv,
    /// Zeek's JSON: an object a line, unset columns left out, times as seconds since the epoch.
    Json,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Time(Timestamp),
    Interval(Duration),
    Count(u64),
    Flag(bool),
    Text(String),
    List(Vec<String>),
    Intervals(Vec<f64>),
}

macro_rules! value_of {
    ($($from:ty => $make:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                $make(value)
            }
        })*
    };
}

value_of! {
    Timestamp => Self::Time,
    Duration => Self::Interval,
    u64 => Self::Count,
    u32 => |count| Self::Count(u64::from(count)),
    u16 => |count| Self::Count(u64::from(count)),
    u8 => |count| Self::Count(u64::from(count)),
    bool => Self::Flag,
    String => Self::Text,
    &str => |text: &str| Self::Text(text.to_owned()),
    IpAddr => |ip: IpAddr| Self::Text(ip.to_string()),
    Vec<String> => Self::List,
}

/// A row of a log. Columns that were not put are unset.
#[derive(Clone, Debug)]
pub(super) struct Row {
    log: &'static Log,
    values: Vec<Option<Value>>,
}

impl Row {
    pub(super) fn new(log: &'static Log) -> Self {
        Self {
            log,
            values: vec![None; log.columns.len()],
        }
    }

    pub(super) const fn log(&self) -> &'static Log {
        self.log
    }

    /// Puts a value into a column; `None` leaves it unset. Columns that the log does not have are left out, so that what
    /// all logs share can be put by one function.
    pub(super) fn put(&mut self, column: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value
            && let Some(place) = self.log.columns.iter().position(|(name, _)| *name == column)
        {
            self.values[place] = Some(value.into());
        }
        self
    }

    /// The line without its end.
    pub(super) fn line(&self, style: Style) -> Vec<u8> {
        match style {
            Style::Tsv => {
                let cells: Vec<String> = self.values.iter().map(|value| cell(value.as_ref())).collect();
                cells.join("\t").into_bytes()
            }
            Style::Json => {
                let known = self.log.columns.iter().zip(&self.values);
                let object: Map<String, Json> = known
                    .filter_map(|((name, _), value)| Some(((*name).to_owned(), json(value.as_ref()?))))
                    .collect();
                Json::Object(object).to_string().into_bytes()
            }
        }
    }
}

fn cell(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    match value {
        Value::Time(time) => cell_of_time(*time),
        Value::Interval(duration) => format!("{}.{:06}", duration.as_secs(), duration.subsec_micros()),
        Value::Count(count) => count.to_string(),
        Value::Flag(true) => "T".to_owned(),
        Value::Flag(false) => "F".to_owned(),
        Value::Text(text) if text.is_empty() => "(empty)".to_owned(),
        Value::Text(text) if text == "-" || text == "(empty)" => {
            format!("\\x{:02x}{}", text.as_bytes()[0], &text[1..])
        }
        Value::Text(text) => escaped(text, false),
        Value::List(texts) if texts.is_empty() => "(empty)".to_owned(),
        Value::List(texts) => texts
            .iter()
            .map(|text| escaped(text, true))
            .collect::<Vec<_>>()
            .join(","),
        Value::Intervals(numbers) => numbers
            .iter()
            .map(|number| format!("{number:.6}"))
            .collect::<Vec<_>>()
            .join(","),
    }
}

/// Seconds since the epoch with microseconds, as Zeek has them; earlier than the epoch with a sign.
pub(super) fn cell_of_time(time: Timestamp) -> String {
    let micros = time.0.div_euclid(1_000);
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Control characters, the separators and the escape itself stand as `\xHH`.
fn escaped(text: &str, in_list: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || character == '\\' || in_list && character == ',' {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        } else {
            out.push(character);
        }
    }
    out
}

fn json(value: &Value) -> Json {
    let number = |number: f64| Number::from_f64(number).map_or(Json::Null, Json::Number);
    match value {
        // As text of six digits first: the nearest double of that is what Zeek writes.
        Value::Time(time) => number(cell_of_time(*time).parse().unwrap_or_default()),
        Value::Interval(duration) => number(duration.as_micros() as f64 / 1e6),
        Value::Count(count) => Json::from(*count),
        Value::Flag(flag) => Json::from(*flag),
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(texts) => Json::from(texts.clone()),
        Value::Intervals(numbers) => Json::Array(numbers.iter().map(|one| number(*one)).collect()),
    }
}

/// A file of rows.
#[derive(Debug)]
pub(super) struct LogFile {
    file: BufWriter<File>,
    style: Style,
}

impl LogFile {
    pub(super) fn create(path: &Path, log: &'static Log, style: Style) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 16, File::create(path)?);
        if style == Style::Tsv {
            file.write_all(header(log).as_bytes())?;
        }
        Ok(Self { file, style })
    }

    pub(super) fn write(&mut self, row: &Row) -> io::Result<()> {
        self.file.write_all(&row.line(self.style))?;
        self.file.write_all(b"\n")
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.style == Style::Tsv {
            // When it was closed would make two runs differ, and nothing reads it.
            self.file.write_all(b"#close\t-\n")?;
        }
        self.file.flush()
    }
}

pub(super) fn header(log: &Log) -> String {
    let names: Vec<&str> = log.columns.iter().map(|(name, _)| *name).collect();
    let types: Vec<&str> = log.columns.iter().map(|(_, kind)| *kind).collect();
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{}\n#fields\t{}\n#types\t{}\n",
        log.path,
        names.join("\t"),
        types.join("\t")
    )
}
