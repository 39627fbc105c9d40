//! Zeek's logs: TSV with its header, or JSON; one log or a directory of them; labelled ones too.
//!
//! `docs/inputs.md` lists what is read of each log.

mod columns;
mod conn;
mod directory;
pub(crate) mod join;
mod kind;
mod known;
mod messages;
mod record;
mod sessions;

use self::columns::Column;
pub(crate) use self::directory::{Chains, list, logs_of};
pub(crate) use self::kind::Kind;
use self::record::{Header, Record};
use super::log::{Parser, Reason, Refusal, Row, What, bad};

/// Reads one of Zeek's logs.
pub(crate) struct Zeek {
    /// What the file's name says.
    named: Option<Kind>,
    header: Header,
}

impl Zeek {
    pub(crate) fn new(named: Option<Kind>) -> Self {
        Self {
            named,
            header: Header::default(),
        }
    }

    fn kind(&self, record: &Record<'_>) -> Result<Kind, Refusal> {
        let by_content = match record.raw(Column::Path) {
            Some(path) => Kind::of_path(path.trim_matches('"')),
            None => self.header.kind(),
        };
        by_content
            .or(self.named)
            .or_else(|| Kind::of_columns(record))
            .ok_or_else(|| bad("neither a #path, nor the name of the file, nor its columns tell which log of Zeek this is"))
    }
}

impl Parser for Zeek {
    fn begin(&mut self) {
        self.header = Header::default();
    }

    fn line(&mut self, line: &str, rows: &mut Vec<Row>) -> Result<bool, Refusal> {
        let line = line.trim_start_matches('\u{feff}');
        let start = line.trim_start();
        if start.is_empty() {
            return Ok(false);
        }
        if start.starts_with('#') {
            self.header.line(start);
            return Ok(false);
        }
        let record = if start.starts_with('{') {
            Record::of_json(start)?
        } else {
            self.header.record(line)?
        };
        let before = rows.len();
        match self.kind(&record)? {
            Kind::Conn => conn::read(&record, rows)?,
            Kind::Dns => messages::dns(&record, rows)?,
            Kind::Http => messages::http(&record, rows)?,
            Kind::Ssl => messages::ssl(&record, rows)?,
            Kind::Quic => messages::quic(&record, rows)?,
            Kind::X509 => messages::x509(&record, rows)?,
            Kind::Files => messages::files(&record, rows)?,
            Kind::Ssh => sessions::ssh(&record, rows)?,
            Kind::Dhcp => sessions::dhcp(&record, rows)?,
            Kind::Ftp => sessions::ftp(&record, rows)?,
            Kind::Smtp => sessions::smtp(&record, rows)?,
            Kind::Login => sessions::login(&record, rows)?,
            Kind::Tunnel => sessions::tunnel(&record, rows)?,
            Kind::Notice => sessions::notice(&record, rows)?,
            Kind::Weird => sessions::weird(&record, rows)?,
            Kind::Software => sessions::software(&record, rows)?,
            Kind::Arp => sessions::arp(&record, rows)?,
            Kind::KnownHosts => known::host(&record, rows)?,
            Kind::KnownServices => known::services(&record, rows)?,
            // A certificate without a client says less than ssl.log; a device has no address here, and dhcp.log has both.
            Kind::KnownCerts | Kind::KnownDevices | Kind::Unused => return Err(Reason::NotUsed.into()),
        }
        // One message of a row is enough to tell other logs' rows whose flow it is.
        if let Some(row) = rows.get_mut(before)
            && matches!(row.what, What::App(_))
        {
            row.uid = record.owned(Column::Uid);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
