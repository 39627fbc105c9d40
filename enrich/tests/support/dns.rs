//! A small name server on loopback that answers as told and remembers what it was asked.
#![allow(dead_code, reason = "each test uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

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
