//! The listener beyond loopback: real sockets, real TLS, tokens.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lynceus_collector::web::{Role, Web, WebConfig, WebOptions, new_token, serve};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::site::Site;

const NAME: &str = "lynceus.example";
/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser that trusts these certificates.
struct Client {
    address: SocketAddr,
    trusted: Vec<CertificateDer<'static>>,
}

impl Client {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The whole answer as text; `Err`: the connection was not to be trusted.
    fn ask(&self, head: &str, body: &str) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusted.clone());
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(NAME).unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, self.connect());
        let length = body.len();
        // Head and body as two records: the server has to wait for the second, refused or not.
        write!(
            stream,
            "{head}\r\nHost: {NAME}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Origin: https://{NAME}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
        )?;
        if !body.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
            stream.write_all(body.as_bytes())?;
        }
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // Gone without a word of TLS, after a whole answer of HTTP.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !answer.is_empty() => {}
            read => drop(read?),
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn get(&self, path: &str, header: &str) -> String {
        let header = if header.is_empty() {
            String::new()
        } else {
            format!("\r\n{header}")
        };
        self.ask(&format!("GET {path} HTTP/1.1{header}"), "").unwrap()
    }

    fn log_in(&self, token: &str) -> String {
        self.ask("POST /login HTTP/1.1", &format!("token={token}"))
            .unwrap()
    }
}

#[track_caller]
fn has(answer: &str, parts: &[&str]) {
    let answer = answer.to_lowercase();
    for part in parts {
        assert!(answer.contains(&part.to_lowercase()), "no {part} in {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_asks_for_a_token_and_nobody_holds_it_up() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec![NAME.to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let (token, hashed) = new_token("ana", Role::Read).unwrap();
    let config = WebConfig {
        listen: "127.0.0.1:0".to_owned(),
        certificate: file("web.pem", cert.pem()),
        key: file("web.key", signing_key.serialize_pem()),
        hosts: vec![NAME.to_owned()],
        tokens: vec![hashed],
        ..WebConfig::default()
    };
    let listening = config.bind().await.unwrap().unwrap();
    let url = listening.url().unwrap();
    let address: SocketAddr = url
        .strip_prefix("https://")
        .unwrap()
        .trim_end_matches('/')
        .parse()
        .unwrap();
    let options = WebOptions {
        tokens: config.tokens.clone(),
        hosts: config.hosts.clone(),
        secure: config.is_secure(),
        ..WebOptions::default()
    };
    let web = Web::new(site.collector.query(), options).unwrap();
    let server = tokio::spawn(serve(web, listening, std::future::pending()));
    let client = Client {
        address,
        trusted: vec![cert.der().clone()],
    };
    tokio::task::block_in_place(|| {
        // Clients that connect and say nothing.
        let silent: Vec<TcpStream> = (0..8).map(|_| client.connect()).collect();
        has(
            &client.get("/", "Accept: text/html"),
            &["303 See Other", "location: /login"],
        );
        has(
            &client.get("/api/v1/status", ""),
            &["401", "www-authenticate: Bearer"],
        );
        let bearer = format!("Authorization: Bearer {token}");
        has(&client.get("/api/v1/alerts", &bearer), &["200 OK", "10.0.0.66"]);
        let welcome = client.log_in(&token);
        has(
            &welcome,
            &["303 See Other", "HttpOnly; SameSite=Strict", "; Secure"],
        );
        let cookie = welcome.to_lowercase();
        let cookie = cookie.split("set-cookie: ").nth(1).unwrap();
        // The value is in base 16 or 64: only the original has its letters.
        let at = welcome.to_lowercase().find(cookie).unwrap();
        let cookie = welcome[at..].split(';').next().unwrap();
        let page = client.get("/", &format!("Cookie: {cookie}"));
        has(
            &page,
            &["200 OK", "10.0.0.66 looks infected", "strict-transport-security"],
        );
        drop(silent);

        // Whoever does not trust the certificate, and whoever speaks no TLS, gets nothing.
        let stranger = Client {
            address,
            trusted: Vec::new(),
        };
        assert!(stranger.ask("GET / HTTP/1.1", "").is_err());
        let mut plain = client.connect();
        // The server may have hung up before the last byte was written.
        let _ = write!(plain, "GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer);
        assert!(
            !String::from_utf8_lossy(&answer).contains("HTTP/1.1"),
            "{answer:?}"
        );

        // Guesses are counted by address, which has to get through TLS for that.
        has(&client.log_in("guess"), &["401"]);
        // Ten at once and one each five seconds; a busy machine guesses slowly.
        let refused = (0..100).any(|_| client.log_in("guess").contains(" 429 "));
        assert!(refused, "guessing goes on");
    });
    server.abort();
}
