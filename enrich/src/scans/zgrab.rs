//! ZGrab2's JSON: an object for each target, with what each of its modules came to.

use std::net::IpAddr;

use serde_json::Value;

use super::{Line, Seen, time};

/// Ports that modules try unless told otherwise; the result itself only has others in newer versions.
const PORTS: [(&str, u16); 20] = [
    ("amqp091", 5672),
    ("bacnet", 47808),
    ("banner", 80),
    ("dnp3", 20000),
    ("fox", 1911),
    ("ftp", 21),
    ("http", 80),
    ("imap", 143),
    ("ipp", 631),
    ("modbus", 502),
    ("mongodb", 27017),
    ("mssql", 1433),
    ("mysql", 3306),
    ("ntp", 123),
    ("oracle", 1521),
    ("pop3", 110),
    ("postgres", 5432),
    ("redis", 6379),
    ("siemens", 102),
    ("tls", 443),
];
const MORE_PORTS: [(&str, u16); 4] = [("smb", 445), ("smtp", 25), ("ssh", 22), ("telnet", 23)];
/// Places of what a server says of itself, by module.
const BANNERS: [&str; 8] = [
    "/server_id/raw",
    "/banner",
    "/response/headers/server/0",
    "/server_version",
    "/version",
    "/product_name",
    "/server",
    "/startup_error/message",
];
/// Letters of a banner.
const MAX_BANNER: usize = 256;

pub(super) fn line(line: &str) -> Result<Line, String> {
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    let target: Value = serde_json::from_str(line).map_err(|error| format!("no JSON object: {error}"))?;
    let ip: IpAddr = target
        .get("ip")
        .and_then(Value::as_str)
        .and_then(|ip| ip.parse().ok())
        .ok_or("no ip")?;
    let modules = target.get("data").and_then(Value::as_object).ok_or("no data")?;
    let seen: Vec<Seen> = modules
        .iter()
        .filter_map(|(name, grab)| one(ip, name, grab))
        .collect();
    Ok(if seen.is_empty() {
        Line::Closed
    } else {
        Line::Seen(seen)
    })
}

fn one(ip: IpAddr, name: &str, grab: &Value) -> Option<Seen> {
    let status = grab.get("status")?.as_str()?;
    // A server that speaks another protocol is there as well.
    if !matches!(status, "success" | "protocol-error" | "application-error") {
        return None;
    }
    let protocol = grab.get("protocol").and_then(Value::as_str).unwrap_or(name);
    let said = grab
        .get("port")
        .and_then(Value::as_u64)
        .and_then(|port| u16::try_from(port).ok());
    let usual = || {
        let mut all = PORTS.iter().chain(&MORE_PORTS);
        all.find(|(known, _)| *known == protocol).map(|(_, port)| *port)
    };
    let result = grab.get("result");
    let banner = result.and_then(|result| BANNERS.iter().find_map(|place| result.pointer(place)?.as_str()));
    let succeeded = status == "success";
    Some(Seen {
        ip,
        port: said.or_else(usual)?,
        service: succeeded.then(|| shown(protocol)),
        banner: banner.map(shown).filter(|banner| succeeded && !banner.is_empty()),
        at: grab.get("timestamp").and_then(Value::as_str).and_then(time),
    })
}

/// The first line, without control characters.
fn shown(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_BANNER)
        .collect()
}
