//! Small HTTP(S) and DNS servers on loopback that answer as told and remember what they were asked.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
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

/// What a name server says.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    A(Vec<[u8; 4]>),
    Aaaa(std::net::Ipv6Addr),
    Ptr(Vec<String>),
    Txt(String),
    /// NXDOMAIN.
    Nobody,
    /// SERVFAIL.
    Fails,
    /// Cut over UDP; this over TCP.
    Cut(String),
    Silent,
}

/// A name server for UDP and TCP on one port.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    pub(crate) fn start(handle: impl Fn(&str, &str) -> Zone + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            // The same number may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let handle = Arc::new(handle);
        {
            let (handle, asked) = (Arc::clone(&handle), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                    if let Some(bytes) = answer(&buffer[..length], handle.as_ref(), &asked, false) {
                        let _ = udp.send_to(&bytes, from);
                    }
                }
            });
        }
        let memory = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).unwrap();
                if let Some(bytes) = answer(&question, handle.as_ref(), &memory, true) {
                    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                    stream.write_all(&[&length[..], &bytes].concat()).unwrap();
                }
            }
        });
        Self { address, asked }
    }

    /// `TXT name`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    question: &[u8],
    handle: &(impl Fn(&str, &str) -> Zone + ?Sized),
    asked: &Mutex<Vec<String>>,
    tcp: bool,
) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..at + 1 + length]).into_owned());
        at += length + 1;
    }
    let name = labels.join(".");
    let kind = match question[at + 2] {
        1 => "A",
        28 => "AAAA",
        12 => "PTR",
        _ => "TXT",
    };
    asked.lock().unwrap().push(format!("{kind} {name}"));
    let (mut flags, mut code) = (0x81_u8, 0x80_u8);
    let mut records: Vec<Vec<u8>> = Vec::new();
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    match handle(&name, kind) {
        Zone::A(all) => records.extend(all.iter().map(|ip| ip.to_vec())),
        Zone::Aaaa(ip) => records.push(ip.octets().to_vec()),
        Zone::Ptr(names) => records.extend(names.iter().map(|name| {
            let mut bytes: Vec<u8> = name.split('.').flat_map(text).collect();
            bytes.push(0);
            bytes
        })),
        Zone::Txt(said) => records.push(text(&said)),
        Zone::Nobody => code |= 3,
        Zone::Fails => code |= 2,
        Zone::Cut(said) if tcp => records.push(text(&said)),
        Zone::Cut(_) => flags |= 2,
        Zone::Silent => return None,
    }
    let mut bytes = question[..2].to_vec();
    bytes.extend([
        flags,
        code,
        0,
        1,
        0,
        u8::try_from(records.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    bytes.extend(&question[12..at + 5]);
    for record in records {
        bytes.extend([0xc0, 12]);
        bytes.extend(&question[at + 1..at + 5]);
        bytes.extend([0, 0, 0, 60]);
        bytes.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
        bytes.extend(record);
    }
    Some(bytes)
}
