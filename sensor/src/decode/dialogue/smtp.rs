//! Mail submission and transfer (RFC 5321), as far as it is in the clear.

use std::collections::VecDeque;

use lynceus_model::app::Smtp;

use super::{MAX_PENDING, command, lines, reply, some};

/// One connection of a mail client.
#[derive(Debug, Default)]
pub struct Session {
    helo: Option<String>,
    mail_from: Option<String>,
    /// Commands without reply.
    pending: VecDeque<Command>,
    /// The mail itself is on its way: its lines are no commands.
    in_mail: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Hello,
    Auth,
    Mail,
    Recipient(String),
    StartTls,
    Data,
    Other,
}

impl Session {
    /// Reads what the client sent. What it says to be authenticated is not kept.
    pub fn client(&mut self, bytes: &[u8]) {
        for line in lines(bytes) {
            if self.in_mail || self.pending.back() == Some(&Command::Auth) {
                return;
            }
            let Some((verb, argument)) = command(line) else {
                continue;
            };
            let command = match verb.as_str() {
                "HELO" | "EHLO" => {
                    self.helo = some(argument);
                    Command::Hello
                }
                "AUTH" => Command::Auth,
                "MAIL" => {
                    self.mail_from = Some(address(&argument));
                    Command::Mail
                }
                "RCPT" => Command::Recipient(address(&argument)),
                "STARTTLS" => Command::StartTls,
                "DATA" => Command::Data,
                "RSET" => {
                    self.mail_from = None;
                    Command::Other
                }
                "NOOP" | "QUIT" | "VRFY" | "EXPN" | "HELP" => Command::Other,
                _ => continue,
            };
            if self.pending.len() < MAX_PENDING {
                self.pending.push_back(command);
            }
        }
    }

    /// Reads what the server sent: hands out each command that has its reply now.
    pub fn server(&mut self, bytes: &[u8], mut emit: impl FnMut(Smtp)) {
        for (code, text) in lines(bytes).filter_map(reply) {
            if std::mem::take(&mut self.in_mail) {
                // The mail was taken or refused.
                continue;
            }
            // Go on: a challenge of AUTH.
            if code == 334 {
                continue;
            }
            let Some(command) = self.pending.pop_front() else {
                continue;
            };
            self.in_mail = command == Command::Data && code == 354;
            if command == Command::Other {
                continue;
            }
            let (mut login, mut recipients) = (None, Vec::new());
            let is_mail = matches!(command, Command::Mail | Command::Recipient(_) | Command::Data);
            let tls = command == Command::StartTls && code == 220;
            match command {
                Command::Auth => login = outcome(code),
                Command::Recipient(address) => recipients.push(address),
                _ => {}
            }
            emit(Smtp {
                helo: self.helo.clone(),
                mail_from: self.mail_from.clone().filter(|_| is_mail),
                recipients,
                login,
                reply_code: Some(code),
                reply: some(text),
                tls,
            });
        }
    }
}

/// RFC 4954 §6: other codes say nothing about the credentials.
const fn outcome(code: u16) -> Option<bool> {
    match code {
        235 => Some(true),
        530 | 534 | 535 | 538 | 550 | 554 => Some(false),
        _ => None,
    }
}

/// `FROM:<a@b> SIZE=1` → `a@b`
fn address(argument: &str) -> String {
    let path = argument.split_once(':').map_or(argument, |(_, path)| path).trim();
    let path = match path.strip_prefix('<') {
        Some(rest) => rest.split('>').next().unwrap_or_default(),
        None => path.split(' ').next().unwrap_or_default(),
    };
    path.to_owned()
}
