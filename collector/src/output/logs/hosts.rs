//! What a host is and offers: software.log, known_hosts.log and known_services.log.

use lynceus_model::app::{AppRecord, Software};

use super::columns::{KNOWN_HOSTS, KNOWN_SERVICES, SOFTWARE};
use super::table::Row;

/// Each kind in the log that it is read from.
pub(super) fn row(record: &AppRecord, software: &Software) -> Row {
    let (host, protocol) = (record.tuple.originator, record.tuple.protocol);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let begin = |log| {
        let mut row = Row::new(log);
        row.put("ts", Some(record.time)).put("host", Some(host.ip));
        row
    };
    match software.kind.as_str() {
        Software::HOST => begin(&KNOWN_HOSTS),
        Software::SERVICE => {
            let mut row = begin(&KNOWN_SERVICES);
            row.put("port_num", Some(host.port))
                .put("port_proto", some(lynceus_view::service::protocol_name(protocol)))
                .put("service", some(&software.name).map(|name| vec![name]));
            row
        }
        kind => {
            let mut row = begin(&SOFTWARE);
            row.put("host_p", (host.port != 0).then_some(host.port))
                .put("software_type", some(kind))
                .put("name", some(&software.name))
                .put("unparsed_version", software.version.clone());
            row
        }
    }
}
