//! What Zeek keeps about the hosts of its own networks: which were there, and which services they offered.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, Software};

use super::columns::Column;
use super::record::Record;
use super::sessions::{alone, without_flow};
use crate::source::log::facts::{self, TCP};
use crate::source::log::{Refusal, Row};

/// Of known_hosts.log: a host that completed a TCP handshake.
pub(super) fn host(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let tuple = without_flow(address(record)?, 0);
    let event = AppEvent::Software(Software {
        kind: Software::HOST.to_owned(),
        ..Software::default()
    });
    rows.push(alone(time, tuple, event));
    Ok(())
}

/// Of known_services.log: a port that answered, with the protocols that were recognized there.
pub(super) fn services(record: &Record<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = record.ts()?;
    let port = record
        .number(Column::PortNumber)
        .ok_or_else(|| record.wrong(Column::PortNumber, "a port"))?;
    let mut tuple = without_flow(address(record)?, port);
    let protocol = record.text(Column::PortProtocol);
    tuple.protocol = protocol.and_then(|name| facts::protocol(&name)).unwrap_or(TCP);
    let mut names = record.list(Column::Service);
    if names.is_empty() {
        // The port answered, and nobody knows what it speaks.
        names.push("".into());
    }
    for name in names {
        let event = AppEvent::Software(Software {
            kind: Software::SERVICE.to_owned(),
            name: name.to_ascii_lowercase(),
            version: None,
        });
        rows.push(alone(time, tuple, event));
    }
    Ok(())
}

fn address(record: &Record<'_>) -> Result<IpAddr, Refusal> {
    record
        .address(Column::Host)
        .ok_or_else(|| record.wrong(Column::Host, "an address"))
}
