//! Control connections of FTP (RFC 959, RFC 2428).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::app::Ftp;
use lynceus_model::flow::Endpoint;

use super::{MAX_PENDING, command, lines, reply, some};

/// One control connection.
#[derive(Debug, Default)]
pub struct Session {
    user: Option<String>,
    /// Commands without reply, with their arguments.
    pending: VecDeque<(String, Option<String>)>,
    /// Code of a reply of many lines whose last line was not seen yet.
    begun: Option<u16>,
    /// Commands whose reply ended unseen, to be handed out.
    ended: Vec<Ftp>,
}

impl Session {
    /// Reads what the client sent. Passwords are not kept.
    pub fn client(&mut self, bytes: &[u8]) {
        for line in lines(bytes) {
            let Some((verb, argument)) = command(line).filter(|(verb, _)| verb.len() <= 4) else {
                continue;
            };
            // A client waits for the reply (RFC 959 §5.4.1): the rest of a long one was not among the bytes that came here.
            // Without this each later reply would be taken for that of the command before.
            if let Some(code) = self.begun.take()
                && let Some((command, argument)) = self.pending.pop_front()
            {
                self.ended.push(Ftp {
                    user: self.user.clone(),
                    command,
                    argument,
                    reply_code: Some(code),
                    ..Ftp::default()
                });
            }
            let argument = some(argument).filter(|_| !matches!(verb.as_str(), "PASS" | "ACCT" | "ADAT"));
            if verb == "USER" {
                self.user.clone_from(&argument);
            }
            if self.pending.len() < MAX_PENDING {
                self.pending.push_back((verb, argument));
            }
        }
    }

    /// Reads what the server at `server` sent: hands out each command that has its final reply now.
    pub fn server(&mut self, bytes: &[u8], server: IpAddr, mut emit: impl FnMut(Ftp)) {
        self.ended.drain(..).for_each(&mut emit);
        for line in lines(bytes) {
            if let Some(code) = first_of_many(line).filter(|code| *code >= 200) {
                self.begun = Some(code);
            }
            let Some((code, text)) = reply(line) else {
                continue;
            };
            if self.begun.is_some_and(|begun| begun != code) {
                // A line inside the long reply that only looks like one.
                continue;
            }
            self.begun = None;
            // 1xx: another reply follows.
            if code < 200 {
                continue;
            }
            let Some((command, argument)) = self.pending.pop_front() else {
                continue;
            };
            let accepted = code < 300;
            let data = match (command.as_str(), code) {
                ("PORT", _) if accepted => argument.as_deref().and_then(six_numbers),
                ("EPRT", _) if accepted => argument.as_deref().and_then(extended),
                ("PASV", 227) => six_numbers(&text),
                ("EPSV", 229) => extended_port(&text).map(|port| Endpoint { ip: server, port }),
                _ => None,
            };
            emit(Ftp {
                user: self.user.clone(),
                command,
                argument,
                reply_code: Some(code),
                reply: some(text),
                data,
            });
        }
    }
}

/// Code of `230-Welcome`, the first line of a reply of many lines.
fn first_of_many(line: &[u8]) -> Option<u16> {
    let (digits, rest) = line.split_at_checked(3)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_code = digits.bytes().all(|byte| byte.is_ascii_digit()) && rest.first() == Some(&b'-');
    is_code.then(|| digits.parse().ok()).flatten()
}

/// `192,0,2,1,4,1`, perhaps with text around.
fn six_numbers(text: &str) -> Option<Endpoint> {
    let mut numbers = text
        .split(|letter: char| !letter.is_ascii_digit() && letter != ',')
        .filter(|part| part.matches(',').count() == 5);
    let mut bytes = [0u8; 6];
    let mut parts = numbers.next()?.split(',');
    for byte in &mut bytes {
        *byte = parts.next()?.parse().ok()?;
    }
    let [a, b, c, d, high, low] = bytes;
    endpoint(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))
}

/// `|2|2001:db8::1|1025|`; any character may stand for the bars.
fn extended(argument: &str) -> Option<Endpoint> {
    let bar = argument.chars().next()?;
    let mut parts = argument.split(bar).skip(2);
    let ip = parts.next()?.parse().ok()?;
    endpoint(ip, parts.next()?.parse().ok()?)
}

/// `Entering Extended Passive Mode (|||1025|)`
fn extended_port(text: &str) -> Option<u16> {
    let inner = text.rsplit_once('(')?.1.split(')').next()?;
    let bar = inner.chars().next()?;
    inner.split(bar).nth(3)?.parse().ok().filter(|port| *port != 0)
}

fn endpoint(ip: IpAddr, port: u16) -> Option<Endpoint> {
    (port != 0).then_some(Endpoint { ip, port })
}
