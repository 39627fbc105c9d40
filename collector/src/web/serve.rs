//! Where the page listens: plain HTTP on loopback, HTTPS and tokens beyond it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Web;
use super::auth::TokenConfig;
use crate::auth::plaintext_is_safe;

/// `[web]` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// `host:port`; empty: no page. Beyond loopback it needs tokens, and a certificate or `behind_proxy`.
    pub listen: String,
    /// PEM files of the server's own certificate.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    /// Something in front speaks HTTPS, so plain HTTP beyond loopback is meant.
    pub behind_proxy: bool,
    /// Names by which browsers call the server; addresses and `localhost` always may.
    pub hosts: Vec<String>,
    pub tokens: Vec<TokenConfig>,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7444".to_owned(),
            certificate: None,
            key: None,
            behind_proxy: false,
            hosts: Vec::new(),
            tokens: Vec::new(),
        }
    }
}

impl WebConfig {
    /// Where to listen; `None`: nowhere.
    ///
    /// # Errors
    /// The address is not one, or others could reach the page without a token or without encryption.
    pub fn address(&self) -> anyhow::Result<Option<SocketAddr>> {
        ensure!(
            self.certificate.is_some() == self.key.is_some(),
            "web: certificate and key belong together"
        );
        super::auth::Auth::new(&self.tokens).context("web.tokens")?;
        if self.listen.is_empty() {
            return Ok(None);
        }
        let address: SocketAddr = self
            .listen
            .parse()
            .with_context(|| format!("web.listen: {:?}", self.listen))?;
        if !plaintext_is_safe(address) {
            ensure!(
                !self.tokens.is_empty(),
                "web.listen: {address} is reachable by others; that needs [[web.tokens]]"
            );
            ensure!(
                self.certificate.is_some() || self.behind_proxy,
                "web.listen: {address} is reachable by others; that needs certificate and key (or behind_proxy = true)"
            );
        }
        Ok(Some(address))
    }

    /// Whether browsers speak HTTPS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.certificate.is_some() || self.behind_proxy
    }

    /// Binds, and reads the certificate.
    ///
    /// # Errors
    /// As [`Self::address`], or the address is taken, or the certificate cannot be used.
    pub async fn bind(&self) -> anyhow::Result<Option<Listening>> {
        let Some(address) = self.address()? else {
            return Ok(None);
        };
        let tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(tls(certificate, key)?),
            _ => None,
        };
        let listener = match TcpListener::bind(address).await {
            // Nobody chose this port, and what sensors send matters more than the page.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && self.listen == Self::default().listen =>
            {
                tracing::warn!(%address, "no page: the port is taken; set web.listen");
                return Ok(None);
            }
            bound => bound.with_context(|| format!("web.listen: {address}"))?,
        };
        Ok(Some(Listening { listener, tls }))
    }
}

fn tls(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .with_context(|| format!("web.certificate: {}", certificate.display()))?
        .collect();
    let chain = chain.with_context(|| format!("web.certificate: {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("web.key: {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("web: certificate and key do not fit")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A socket that listens, and how it speaks.
pub struct Listening {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listening {
    /// Binds for browsers on this machine.
    ///
    /// # Errors
    /// The address is not one, others could reach it, or it is taken.
    pub async fn here(listen: &str) -> anyhow::Result<Self> {
        let address: SocketAddr = listen
            .parse()
            .with_context(|| format!("{listen}: no address as 127.0.0.1:7444"))?;
        ensure!(
            plaintext_is_safe(address),
            "{address}: only 127.0.0.1 or [::1] here; for others run a collector, docs/web.md"
        );
        let listener = TcpListener::bind(address).await;
        Ok(Self {
            listener: listener.with_context(|| address.to_string())?,
            tls: None,
        })
    }

    /// Address for a browser: `http://127.0.0.1:7444/`.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn url(&self) -> anyhow::Result<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}/", self.listener.local_addr()?))
    }
}

/// Serves until `stopped`.
///
/// # Errors
/// The socket fails.
pub async fn serve(
    web: Web,
    listening: Listening,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let sampling = tokio::spawn(web.clone().sample());
    let router = web.router();
    let served = match listening.tls {
        None => {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listening.listener, service)
                .with_graceful_shutdown(stopped)
                .await
        }
        Some(acceptor) => {
            let listener = TlsListener::start(listening.listener, acceptor)?;
            let service = router
                .layer(axum::middleware::map_request(peer))
                .into_make_service_with_connect_info::<Peer>();
            axum::serve(listener, service)
                .with_graceful_shutdown(stopped)
                .await
        }
    };
    sampling.abort();
    Ok(served?)
}

/// Handshakes at the same time, and how long one may take: a client that says nothing holds up nobody.
const HANDSHAKES: usize = 64;
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Hands out connections whose handshake is done.
struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    accepting: tokio::task::JoinHandle<()>,
}

impl TlsListener {
    fn start(mut listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(HANDSHAKES);
        let room = Arc::new(Semaphore::new(HANDSHAKES));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, peer) = Listener::accept(&mut listener).await;
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                    return;
                };
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        // The receiver is gone when the server ends.
                        Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
                        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                        Err(_) => tracing::debug!(%peer, "the handshake took too long"),
                    }
                });
            }
        });
        Ok(Self {
            address,
            ready,
            accepting,
        })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            // The task ends with this listener only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// The client's address behind TLS.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// The guard looks for the address where plain HTTP has it.
async fn peer(mut request: axum::extract::Request) -> axum::extract::Request {
    let peer = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .map(|info| info.0.0);
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_need_tokens_and_encryption() {
        let (_, token) = super::super::new_token("ana", super::super::Role::Read).unwrap();
        let config = |listen: &str, tokens: &[TokenConfig], behind_proxy| WebConfig {
            listen: listen.to_owned(),
            tokens: tokens.to_vec(),
            behind_proxy,
            ..WebConfig::default()
        };
        let token = [token];
        assert!(config("127.0.0.1:7444", &[], false).address().unwrap().is_some());
        assert!(config("", &[], false).address().unwrap().is_none());
        let error = config("0.0.0.0:7444", &[], true)
            .address()
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs [[web.tokens]]"), "{error}");
        let error = config("0.0.0.0:7444", &token, false)
            .address()
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs certificate"), "{error}");
        assert!(config("0.0.0.0:7444", &token, true).address().is_ok());
    }
}
