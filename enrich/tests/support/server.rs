//! A small HTTP(S) server on loopback that answers as told and remembers what it was asked.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn says(status: u16, body: impl Into<Vec<u8>>) -> Says {
    Says {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

impl Says {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Answers until the process ends.
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    certificate: Option<Vec<u8>>,
}

impl Http {
    pub(crate) fn start(handle: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        Self::on(handle, None)
    }

    pub(crate) fn start_tls(handle: impl Fn(&Asked) -> Says + Send + Sync + 'static) -> Self {
        use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config =
            rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
        let mut server = Self::on(handle, Some(Arc::new(config)));
        server.certificate = Some(made.cert.der().to_vec());
        server
    }

    fn on(
        handle: impl Fn(&Asked) -> Says + Send + Sync + 'static,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (handle, memory) = (Arc::new(handle), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handle, memory, tls) = (Arc::clone(&handle), Arc::clone(&memory), tls.clone());
                std::thread::spawn(move || {
                    // A client that goes away in the middle is its own affair.
                    let _ = match tls {
                        None => serve(stream, handle.as_ref(), &memory),
                        Some(tls) => {
                            let connection = rustls::ServerConnection::new(tls).unwrap();
                            serve(
                                rustls::StreamOwned::new(connection, stream),
                                handle.as_ref(),
                                &memory,
                            )
                        }
                    };
                });
            }
        });
        Self {
            address,
            asked,
            certificate: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        match self.certificate {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// Trusts this server and nobody else.
    pub(crate) fn roots(&self) -> ureq::tls::TlsConfig {
        let own = ureq::tls::Certificate::from_der(self.certificate.as_ref().unwrap()).to_owned();
        ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[own]))
            .build()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    stream: impl Read + Write,
    handle: &(impl Fn(&Asked) -> Says + ?Sized),
    memory: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
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
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let asked = Asked {
        method,
        target,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    memory.lock().unwrap().push(asked.clone());
    let said = handle(&asked);
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", said.status);
    for (name, value) in &said.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", said.body.len());
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    stream.write_all(&said.body)?;
    stream.flush()
}
