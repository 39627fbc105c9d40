//! A small HTTPS server on loopback with a certificate of its own making.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

type Stream = StreamOwned<ServerConnection, TcpStream>;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    #[allow(dead_code, reason = "some tests need no headers")]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

pub(crate) struct Request {
    #[allow(dead_code, reason = "some tests do not look where a request goes")]
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    #[allow(dead_code, reason = "some tests look at bodies")]
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Answers until the process ends.
pub(crate) struct Server {
    address: SocketAddr,
    certificate: Vec<u8>,
    pem: String,
}

impl Server {
    pub(crate) fn start(handle: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        Self::with(move |stream| {
            // A client that does not trust us goes away in the middle.
            let _ = serve(stream, &handle);
        })
    }

    /// Hands on what each connection sends first.
    #[allow(dead_code, reason = "some tests speak HTTP only")]
    pub(crate) fn raw() -> (Self, Receiver<Vec<u8>>) {
        let (tell, told) = channel();
        let server = Self::with(move |mut stream| {
            let mut bytes = Vec::new();
            // The client keeps the connection open, so the end is a pause.
            let _ = stream.sock.set_read_timeout(Some(Duration::from_secs(2)));
            let mut buffer = [0; 4096];
            while let Ok(length) = stream.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..length]);
                if length == 0 {
                    break;
                }
            }
            let _ = tell.send(bytes);
        });
        (server, told)
    }

    fn with(handle: impl Fn(Stream) + Send + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                handle(StreamOwned::new(connection, stream));
            }
        });
        Self {
            address,
            certificate: cert.der().to_vec(),
            pem: cert.pem(),
        }
    }

    #[allow(dead_code, reason = "some tests trust by configuration")]
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    #[allow(dead_code, reason = "some tests speak HTTP only")]
    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    #[allow(dead_code, reason = "some tests trust by a file")]
    /// Roots that trust this server and nobody else.
    pub(crate) fn roots(&self) -> ureq::tls::TlsConfig {
        let own = ureq::tls::Certificate::from_der(&self.certificate).to_owned();
        ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[own]))
            .build()
    }
}

fn serve(stream: Stream, handle: &impl Fn(&Request) -> Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let answer = handle(&Request {
        target,
        headers,
        body,
    });
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", answer.body.len());
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    if answer.status != 304 {
        stream.write_all(answer.body.as_bytes())?;
    }
    stream.conn.send_close_notify();
    stream.flush()
}
