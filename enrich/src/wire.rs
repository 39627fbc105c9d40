//! The one way out: every packet that a provider or probe sends goes through [`Wire`], which writes it to the probe log
//! first. What cannot be logged is not sent.

pub mod dns;
mod http;
mod log;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use http::{Agents, Request, Response};
pub use log::{Entry, ProbeLog};

use crate::provider::{Fault, Leak, Settings};

/// Who sends, and what it gives away.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub provider: &'static str,
    /// The address that is looked at; `None` where nothing of it is in the packet.
    pub about: Option<IpAddr>,
    pub leak: Leak,
}

/// Ways out, shared by all providers.
pub struct Wire {
    agents: Agents,
    log: ProbeLog,
    resolver: dns::Resolver,
    /// Something outside has answered in this run, so a time-out may be chance.
    online: AtomicBool,
}

/// While nobody has answered yet, waits are this short: an offline machine must not wait long to learn that it is.
const FIRST_WAIT: Duration = Duration::from_millis(1500);

impl Wire {
    /// `roots`: other certificate authorities than the public ones, for servers of one's own.
    #[must_use]
    pub fn new(settings: &Settings, log: ProbeLog, roots: Option<ureq::tls::TlsConfig>) -> Self {
        Self {
            agents: Agents::new(FIRST_WAIT, roots),
            log,
            resolver: dns::Resolver::new(
                settings.network.dns_servers.clone(),
                Duration::from_secs_f64(settings.network.dns_timeout.clamp(0.01, 60.0)),
            ),
            online: AtomicBool::new(false),
        }
    }

    /// Sends a request and reads the whole answer. Any status is an answer.
    ///
    /// # Errors
    /// [`Fault::Unreachable`], [`Fault::Malformed`] for a body beyond the request's limit, [`Fault::Local`] when it
    /// cannot be logged.
    pub fn http(&self, sender: Sender, request: Request<'_>) -> Result<Response, Fault> {
        let note = |method: &str, url: &str| {
            self.note(sender, http::host(url), &format!("{method} {}", http::shown(url)))
        };
        let response = self.agents.send(request, self.is_online(), &note);
        if response.is_ok() {
            self.answered();
        }
        response
    }

    /// Asks a name server.
    ///
    /// # Errors
    /// As [`Self::http`].
    pub fn dns(&self, sender: Sender, name: &str, kind: dns::Kind) -> Result<dns::Reply, Fault> {
        let wait = if self.is_online() { None } else { Some(FIRST_WAIT) };
        let note = |server: &str| self.note(sender, server, &format!("DNS {} {name}", kind.name()));
        let reply = self.resolver.ask(name, kind, wait, &note);
        if reply.is_ok() {
            self.answered();
        }
        reply
    }

    /// Writes a probe that is about to be sent by somebody else (ICMP, TCP).
    ///
    /// # Errors
    /// [`Fault::Local`]: it is not written, so it must not be sent.
    pub fn note(&self, sender: Sender, to: &str, what: &str) -> Result<(), Fault> {
        self.log.write(sender, to, what).map_err(|error| {
            Fault::Local(format!(
                "not sent, because the probe log cannot be written: {error}"
            ))
        })
    }

    /// Somebody outside has answered.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    fn answered(&self) {
        self.online.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub const fn log(&self) -> &ProbeLog {
        &self.log
    }
}

impl Sender {
    /// A packet of this provider about this address.
    #[must_use]
    pub const fn of(info: &crate::provider::Info, ip: IpAddr) -> Self {
        Self {
            provider: info.name,
            about: Some(ip),
            leak: info.leak,
        }
    }
}
