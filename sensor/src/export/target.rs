//! Where the collector is and how it is spoken to. Plain text only where nobody else can listen.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};

/// Address of the collector, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: String,
    tls: Option<TlsFiles>,
}

/// PEM files. They are read again for each connection, so new certificates need no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may sign the collector's certificate.
    pub ca: PathBuf,
    /// Our certificate; its subject alternative name is `UUID.sensor.lynceus` (DNS) or `urn:uuid:UUID`
    /// with the sensor's id.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Target {
    /// `https://host:port` with certificates; `http://` only to loopback; `unix:/path`.
    ///
    /// # Errors
    /// The address is not one of these, or its transport and the certificates do not go together.
    pub fn new(url: &str, tls: Option<TlsFiles>) -> anyhow::Result<Self> {
        if url.starts_with("unix:") {
            ensure!(url.starts_with("unix:/"), "{url}: write unix:/path/to/socket");
            ensure!(
                tls.is_none(),
                "{url}: a unix socket has no TLS; leave [collector.tls] out"
            );
            return Ok(Self {
                url: url.to_owned(),
                tls,
            });
        }
        let uri: Uri = url.parse().with_context(|| format!("{url}: not an address"))?;
        let host = uri
            .host()
            .with_context(|| format!("{url}: the host is missing"))?;
        match uri.scheme_str() {
            Some("https") => {
                ensure!(
                    tls.is_some(),
                    "{url}: https needs [collector.tls] with ca, certificate and key"
                );
            }
            Some("http") => {
                ensure!(
                    tls.is_none(),
                    "{url}: with [collector.tls] the address begins with https://"
                );
                ensure!(
                    is_loopback(host),
                    "{url}: plain text goes to loopback or a unix socket only; use https:// and [collector.tls]"
                );
            }
            _ => bail!("{url}: write https://host:port, http://127.0.0.1:port or unix:/path"),
        }
        Ok(Self {
            url: url.to_owned(),
            tls,
        })
    }

    /// Addresses of the collector; none for a unix socket, or where its name cannot be looked up now.
    pub async fn addresses(&self) -> Vec<IpAddr> {
        let uri: Option<Uri> = self.url.parse().ok();
        let Some(host) = uri.as_ref().and_then(Uri::host) else {
            return Vec::new();
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match tokio::net::lookup_host((host, 0)).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            Err(error) => {
                tracing::warn!(%error, host, "the collector's addresses are not known, so they could be blocked");
                Vec::new()
            }
        }
    }

    /// What a connection is made with, certificates read now.
    ///
    /// # Errors
    /// A file cannot be read or is no PEM.
    pub fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let mut endpoint = Endpoint::from_shared(self.url.clone())?
            .connect_timeout(Duration::from_secs(10))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .user_agent(concat!("lynceus-sensor/", env!("CARGO_PKG_VERSION")))?;
        if let Some(files) = &self.tls {
            let read =
                |path: &PathBuf| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
            let tls = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(read(&files.ca)?))
                .identity(Identity::from_pem(read(&files.certificate)?, read(&files.key)?));
            endpoint = endpoint
                .tls_config(tls)
                .context("the certificates cannot be used")?;
        }
        Ok(endpoint)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>()
        .map_or(bare == "localhost", |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> TlsFiles {
        TlsFiles {
            ca: "ca".into(),
            certificate: "crt".into(),
            key: "key".into(),
        }
    }

    #[test]
    fn plain_text_stays_at_home() {
        for url in [
            "http://127.0.0.1:5",
            "http://[::1]:5",
            "http://localhost:5",
            "unix:/run/x.sock",
        ] {
            Target::new(url, None).unwrap();
            Target::new(url, Some(files())).unwrap_err();
        }
        for url in [
            "http://192.0.2.1:5",
            "http://collector:5",
            "https://192.0.2.1:5",
            "ftp://127.0.0.1",
            "unix:x",
            "",
        ] {
            Target::new(url, None).unwrap_err();
        }
        Target::new("https://collector.example:7443", Some(files())).unwrap();
    }

    #[test]
    fn a_missing_certificate_is_named() {
        let target = Target::new("https://c:1", Some(files())).unwrap();
        assert_eq!(target.endpoint().unwrap_err().to_string(), "cannot read ca");
    }
}
