//! JARM: ten TLS handshakes with the server itself, whose answers together tell its software.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::provider::{Cost, Fault, Info, Leak, Quota};
use crate::wire::{Sender, Wire};

/// What stands fast about it.
pub static INFO: Info = Info {
    name: "jarm",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Target,
    who: "the server sees your address and ten unusual handshakes",
    quota: Quota::paced(1.0, 5),
    fresh: Some(Duration::from_secs(86_400)),
    any_address: true,
    needs_position: false,
};

/// Probes a server: 62 hexadecimal digits; all zero where it speaks no TLS.
///
/// # Errors
/// It cannot be reached, or the probe cannot be logged.
pub fn probe(wire: &Wire, server: SocketAddr, timeout: Duration) -> Result<String, Fault> {
    let sender = Sender::of(&INFO, server.ip());
    wire.note(sender, &server.to_string(), "ten TLS handshakes (JARM)")?;
    let host = match server.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    // On a thread of its own: what reads the answers indexes into them without asking, and a hostile server must not end
    // ours.
    let probing = std::thread::spawn(move || {
        let mut probe = rust_jarm::Jarm::new(host, server.port().to_string());
        probe.timeout = timeout;
        probe.hash().map_err(|_| ())
    });
    match probing.join() {
        Ok(Ok(hash)) if hash.len() == 62 => Ok(hash),
        Ok(Ok(_)) => Err(Fault::Malformed("no JARM".to_owned())),
        Ok(Err(())) => Err(Fault::Unreachable(format!("{server} does not answer handshakes"))),
        Err(_) => Err(Fault::Malformed(format!("{server} answers what is no TLS"))),
    }
}
