//! The ways out: files, HTTP, syslog, TAXII.

mod file;
mod http;
mod syslog;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use super::OutputConfig;
use super::encode::Format;

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    File(PathBuf),
    /// A message a request.
    Http(String),
    /// STIX objects to the `objects` end point of a collection.
    Taxii(String),
    Syslog(Syslog),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Syslog {
    Udp(String),
    Tcp(String),
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

impl Target {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("file:") {
            return Ok(Self::File(path.into()));
        }
        if let Some(path) = text.strip_prefix("syslog+unix:") {
            return Ok(Self::Syslog(Syslog::Unix(path.into())));
        }
        let (scheme, rest) = text
            .split_once("://")
            .context("has neither file: nor a scheme://")?;
        Ok(match scheme {
            "http" | "https" => Self::Http(text.to_owned()),
            "taxii+http" | "taxii+https" => Self::Taxii(text.trim_start_matches("taxii+").to_owned()),
            "syslog+udp" => Self::Syslog(Syslog::Udp(with_port(rest, 514)?)),
            "syslog+tcp" => Self::Syslog(Syslog::Tcp(with_port(rest, 601)?)),
            "syslog+tls" => {
                let address = with_port(rest, 6514)?;
                let (host, port) = address.rsplit_once(':').context("has no port")?;
                Self::Syslog(Syslog::Tls {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: port.parse().context("has no port")?,
                })
            }
            other => bail!("{other:?} is no way out"),
        })
    }
}

fn with_port(address: &str, port: u16) -> anyhow::Result<String> {
    let address = address.trim_end_matches('/');
    anyhow::ensure!(!address.is_empty(), "has no host");
    let given = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if given {
        address.to_owned()
    } else {
        format!("{address}:{port}")
    })
}

/// Why messages were not delivered.
#[derive(Debug)]
pub(super) enum Failure {
    /// Try again.
    Later { why: String, after: Option<Duration> },
    /// The receiver will never take these.
    Rejected { why: String },
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Later {
            why: error.to_string(),
            after: None,
        }
    }
}

/// A way out that is in use.
pub(super) enum Sender {
    File(file::Lines),
    Http(http::Http),
    Syslog(syslog::Wire),
}

impl Sender {
    pub(super) fn new(config: &OutputConfig, format: Format, target: &Target) -> anyhow::Result<Self> {
        Ok(match target {
            Target::File(path) => Self::File(file::Lines::open(path)?),
            Target::Http(url) => Self::Http(http::Http::new(config, url, format.media_type(), false)?),
            Target::Taxii(url) => Self::Http(http::Http::new(config, url, http::TAXII, true)?),
            Target::Syslog(syslog) => Self::Syslog(syslog::Wire::new(config, syslog.clone())?),
        })
    }

    /// All or, after a failure in the middle, some of them; those are sent again.
    pub(super) fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), Failure> {
        match self {
            Self::File(lines) => Ok(lines.write(messages)?),
            Self::Http(http) => http.send(messages),
            Self::Syslog(wire) => wire.send(messages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out() {
        let parse = |text: &str| Target::parse(text).ok();
        assert_eq!(
            parse("file:/var/log/x.json"),
            Some(Target::File("/var/log/x.json".into()))
        );
        assert_eq!(
            parse("syslog+udp://loghost"),
            Some(Target::Syslog(Syslog::Udp("loghost:514".to_owned())))
        );
        assert_eq!(
            parse("syslog+udp://[::1]:5140"),
            Some(Target::Syslog(Syslog::Udp("[::1]:5140".to_owned())))
        );
        assert_eq!(
            parse("taxii+https://t.example/o/"),
            Some(Target::Taxii("https://t.example/o/".to_owned()))
        );
        assert_eq!(
            parse("syslog+tls://[2001:db8::1]:6515"),
            Some(Target::Syslog(Syslog::Tls {
                host: "2001:db8::1".to_owned(),
                port: 6515
            }))
        );
        for bad in ["", "x", "ftp://x", "syslog+udp://", "/var/log/x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
