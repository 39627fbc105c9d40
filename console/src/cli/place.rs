//! Where a command gets its data: a collector that runs, or a result folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use lynceus_proto::v1::control_client::ControlClient;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::human::Clock;
use crate::kept::Kept;
use crate::local::Local;
use crate::query::{Query, reason_of};

/// Where a collector listens when nobody says otherwise.
pub const DEFAULT_COLLECTOR: &str = "127.0.0.1:7443";

/// A collector that runs, and how it is spoken to.
#[derive(Args, Clone, Debug)]
pub struct Address {
    /// Collector to ask: HOST:PORT (TLS unless loopback without --ca and --cert), http://…, https://… or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_COLLECTOR, env = "LYNCEUS_COLLECTOR")]
    connect: String,
    /// Certificate authority of the collector, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Own certificate, as PEM, where the collector wants one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Key of the own certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub struct Place {
    #[command(flatten)]
    collector: Address,
    /// Result folder of `lynceus analyze --out`, or the store of a collector that does not run, instead of a collector
    #[arg(long, value_name = "DIR", conflicts_with = "ca")]
    from: Option<PathBuf>,
}

/// In which zone times are printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Zone {
    /// Times in the zone of this machine instead of UTC
    #[arg(long)]
    local: bool,
}

impl Zone {
    #[must_use]
    pub fn clock(self) -> Clock {
        if self.local { Clock::local() } else { Clock::utc() }
    }
}

impl Place {
    /// Where `--from` is a number: that number, and the place without it.
    pub(crate) fn row(&self) -> (u64, Self) {
        let text = self.from.as_ref().and_then(|from| from.to_str());
        match text.and_then(|text| text.parse().ok()) {
            Some(row) => {
                let place = Self {
                    from: None,
                    ..self.clone()
                };
                (row, place)
            }
            None => (0, self.clone()),
        }
    }

    /// Prepares the way to the collector; whether it is there shows with the first question.
    ///
    /// # Errors
    /// The address or a certificate cannot be used.
    pub fn open(&self) -> anyhow::Result<Query> {
        if let Some(store) = self.store()? {
            return Kept::open(&store)?.into_query();
        }
        let runtime = runtime()?;
        let channel = {
            let _inside = runtime.enter();
            self.collector.channel()?
        };
        Ok(Query::new(
            runtime,
            channel,
            self.collector.title(),
            true,
            Vec::new(),
        ))
    }

    /// The store of `--from`; `None` without it.
    ///
    /// # Errors
    /// There is no store.
    pub fn store(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(folder) = &self.from else { return Ok(None) };
        let inside = folder.join(Local::STORE);
        let is_store = |path: &Path| path.join("tables").is_dir() && path.join("log").is_dir();
        let store = if is_store(folder) { folder } else { &inside };
        anyhow::ensure!(
            is_store(store),
            "{} is neither a result folder of lynceus analyze --out nor the store of a collector",
            folder.display()
        );
        Ok(Some(store.clone()))
    }

    /// A result folder, no collector that may be away.
    pub(crate) const fn is_folder(&self) -> bool {
        self.from.is_some()
    }

    /// What the screen calls it.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.from {
            Some(folder) => folder.display().to_string(),
            None => self.collector.title(),
        }
    }
}

impl Address {
    /// Prepares the way to the collector for those who ask it to do something.
    ///
    /// # Errors
    /// The address or a certificate cannot be used.
    pub(crate) fn control(&self) -> anyhow::Result<(Arc<Runtime>, ControlClient<Channel>)> {
        let runtime = runtime()?;
        let channel = {
            let _inside = runtime.enter();
            self.channel()?
        };
        let client =
            ControlClient::new(channel).max_decoding_message_size(lynceus_proto::limits::MESSAGE_BYTES);
        Ok((runtime, client))
    }

    /// Why the collector did not do it, and what to do where there is none.
    pub(crate) fn explain(&self, status: &tonic::Status) -> anyhow::Error {
        let mut why = format!("{}: {}", self.title(), reason_of(status));
        if status.code() == tonic::Code::Unavailable {
            why += "; start lynceus-collector, or name the one that runs with --connect";
        }
        anyhow::anyhow!(why)
    }

    fn title(&self) -> String {
        format!("collector {}", self.connect)
    }

    fn channel(&self) -> anyhow::Result<Channel> {
        let uri = uri(&self.connect, self.ca.is_some() || self.cert.is_some());
        let endpoint = Endpoint::from_shared(uri.clone())
            .with_context(|| format!("--connect {}: not an address", self.connect))?
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(20));
        let endpoint = if uri.starts_with("https:") {
            endpoint.tls_config(self.tls()?)?
        } else {
            endpoint
        };
        Ok(endpoint.connect_lazy())
    }

    fn tls(&self) -> anyhow::Result<ClientTlsConfig> {
        let read =
            |path: &PathBuf| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let mut tls = ClientTlsConfig::new();
        if let Some(ca) = &self.ca {
            tls = tls.ca_certificate(Certificate::from_pem(read(ca)?));
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }
}

/// The runtime behind blocking questions.
pub(crate) fn runtime() -> anyhow::Result<Arc<Runtime>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    Ok(Arc::new(runtime))
}

/// Plain HTTP only to this machine, and only where no certificate was given: behind a tunnel there may be another one.
fn uri(address: &str, certificates: bool) -> String {
    if address.contains("://") || address.starts_with("unix:") {
        return address.to_owned();
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    format!(
        "{}://{address}",
        if loopback && !certificates {
            "http"
        } else {
            "https"
        }
    )
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for (address, expected) in [
            ("127.0.0.1:7443", "http://127.0.0.1:7443"),
            ("[::1]:7443", "http://[::1]:7443"),
            ("localhost:7443", "http://localhost:7443"),
            ("collector.example:7443", "https://collector.example:7443"),
            ("10.0.0.1:7443", "https://10.0.0.1:7443"),
            ("http://10.0.0.1:7443", "http://10.0.0.1:7443"),
            ("unix:/run/lynceus/query.sock", "unix:/run/lynceus/query.sock"),
        ] {
            assert_eq!(uri(address, false), expected);
        }
        assert_eq!(uri("127.0.0.1:7443", true), "https://127.0.0.1:7443");
    }

    #[test]
    fn a_collector_that_is_away_is_named_with_a_way_out() {
        let command = || Address::augment_args(clap::Command::new("blocked"));
        let matches = command().get_matches_from(["blocked", "--connect", "127.0.0.1:1"]);
        let address = Address::from_arg_matches(&matches).unwrap();
        let away = address.explain(&tonic::Status::unavailable("connection refused"));
        let said = away.to_string();
        assert!(
            said.starts_with("collector 127.0.0.1:1: connection refused; start lynceus-collector"),
            "{said}"
        );
        let refused = address.explain(&tonic::Status::permission_denied("blocking is off"));
        assert_eq!(refused.to_string(), "collector 127.0.0.1:1: blocking is off");
        // A result folder cannot block.
        assert!(
            command()
                .try_get_matches_from(["blocked", "--from", "results/"])
                .is_err()
        );
    }
}
