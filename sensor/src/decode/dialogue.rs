//! Sessions in which client and server speak by lines, or type: SMTP, FTP and Telnet.
//!
//! The selector lets each command and each reply through on its own, so a line that is cut into packets is not read, and
//! what nobody needs (mails, files, passwords) never comes here or is dropped at once.

pub mod ftp;
pub mod smtp;
pub mod telnet;

use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::flow::Service;
use sensor_ebpf::flow::{FlowKey, Side};

use super::stream::Sink;
use super::{TCP, on_port, service};

/// Commands that a client may send before their replies come (pipelining); more are not told.
const MAX_PENDING: usize = 64;
/// Characters kept of a name, an argument or a reply.
const MAX_TEXT: usize = 256;
/// A segment that is this far behind belongs to a new connection on the same ports.
const FAR_BEHIND: u32 = 1 << 20;

/// What is spoken on a port, if it is what the port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usual {
    Mail,
    Files,
    Typed,
}

/// The dialogue that a flow's port is for; `None` where it is for none.
pub(super) const fn usual(key: &FlowKey) -> Option<Usual> {
    if on_port(key, 25) || on_port(key, 587) {
        Some(Usual::Mail)
    } else if on_port(key, 21) {
        Some(Usual::Files)
    } else if on_port(key, 23) || on_port(key, 2323) {
        Some(Usual::Typed)
    } else {
        None
    }
}

/// A segment of a dialogue.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) sender: Side,
    pub(super) from_client: bool,
    pub(super) seq: u32,
    pub(super) bytes: &'a [u8],
    pub(super) server: IpAddr,
}

/// State of one flow.
#[derive(Debug)]
pub(super) struct Dialogue {
    session: Session,
    /// Sequence number behind what each side sent.
    next: [Option<u32>; 2],
}

#[derive(Debug)]
enum Session {
    Mail(smtp::Session),
    Files(ftp::Session),
    Typed(telnet::Session),
    /// It turned to TLS, or never was one.
    Over,
}

impl Dialogue {
    pub(super) fn new(usual: Usual) -> Self {
        Self {
            session: match usual {
                Usual::Mail => Session::Mail(smtp::Session::default()),
                Usual::Files => Session::Files(ftp::Session::default()),
                Usual::Typed => Session::Typed(telnet::Session::default()),
            },
            next: [None; 2],
        }
    }

    /// Reads a segment; `false` says that it is no part of a dialogue but of something that another decoder may know.
    pub(super) fn segment(&mut self, piece: Piece<'_>, sink: &mut impl Sink) -> bool {
        if matches!(self.session, Session::Over) {
            return false;
        }
        if matches!(
            service::recognize(TCP, piece.bytes),
            Service::Tls | Service::Ssh | Service::Http
        ) {
            self.session = Session::Over;
            return false;
        }
        let next = &mut self.next[piece.sender as usize];
        if let Some(next) = *next {
            let behind = next.wrapping_sub(piece.seq);
            if behind != 0 && behind <= FAR_BEHIND {
                sink.repeated();
                return true;
            }
        }
        *next = Some(piece.seq.wrapping_add(piece.bytes.len() as u32));
        let mut emit = |event| sink.event(event);
        match &mut self.session {
            Session::Mail(session) if piece.from_client => session.client(piece.bytes),
            Session::Mail(session) => session.server(piece.bytes, |event| emit(AppEvent::Smtp(event))),
            Session::Files(session) if piece.from_client => session.client(piece.bytes),
            Session::Files(session) => {
                session.server(piece.bytes, piece.server, |event| emit(AppEvent::Ftp(event)));
            }
            Session::Typed(session) if piece.from_client => session.client(piece.bytes),
            Session::Typed(session) => {
                if let Some(login) = session.server(piece.bytes) {
                    emit(AppEvent::Login(login));
                }
            }
            Session::Over => {}
        }
        true
    }
}

/// Whole lines, without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Code and text of a reply's last line; `None` for other lines (`250-…`).
fn reply(line: &[u8]) -> Option<(u16, String)> {
    let (digits, rest) = line.split_at_checked(3)?;
    let code = std::str::from_utf8(digits).ok()?;
    if !code.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(rest, [] | [b' ', ..]) {
        return None;
    }
    Some((code.parse().ok()?, text(rest)))
}

/// Command in capitals, and its argument.
fn command(line: &[u8]) -> Option<(String, String)> {
    let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let (verb, argument) = line.split_at(end);
    let is_verb = (3..=8).contains(&verb.len()) && verb.iter().all(u8::is_ascii_alphabetic);
    is_verb.then(|| (String::from_utf8_lossy(verb).to_ascii_uppercase(), text(argument)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim()
        .chars()
        .take(MAX_TEXT)
        .collect()
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
