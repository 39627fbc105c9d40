//! Logins by Telnet (RFC 854), told by the words of prompts and answers.

use lynceus_model::app::{Login, LoginOutcome};

use super::some;

/// Interpret as command.
const IAC: u8 = 255;
const SUBNEGOTIATION: u8 = 250;
const END: u8 = 240;
/// Text kept of either side.
const MAX_LINE: usize = 64;
/// Text of the server behind the password without a word that we know.
const MAX_ANSWER: usize = 1024;

const FAILURES: [&str; 8] = [
    "incorrect",
    "failed",
    "failure",
    "invalid",
    "denied",
    "bad password",
    "login:",
    "username:",
];
const SUCCESSES: [&str; 4] = ["last login", "welcome", "busybox", "logged in"];

/// One connection.
#[derive(Debug, Default)]
pub struct Session {
    stage: Stage,
    user: Option<String>,
    /// What the client has typed of a line.
    line: Vec<u8>,
    /// What the server said since the client's last line, small letters.
    said: String,
    /// Inside the options of each side: a subnegotiation may span segments.
    options: [Options; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    User,
    Password,
    Answer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Options {
    #[default]
    Text,
    Command,
    Option,
    Sub,
    SubCommand,
}

impl Session {
    /// Reads what the client typed. Passwords are not kept.
    pub fn client(&mut self, bytes: &[u8]) {
        for byte in strip(bytes, &mut self.options[0]) {
            match byte {
                b'\r' | b'\n' if self.line.is_empty() && self.stage != Stage::Password => {}
                b'\r' | b'\n' => self.enter(),
                8 | 127 => {
                    self.line.pop();
                }
                0 => {}
                byte if self.line.len() < MAX_LINE => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn enter(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.stage = match self.stage {
            Stage::User => {
                self.user = some(String::from_utf8_lossy(&line).trim().to_owned());
                Stage::Open
            }
            Stage::Password => Stage::Answer,
            stage => stage,
        };
        self.said.clear();
    }

    /// Reads what the server sent; returns a login that is decided now.
    pub fn server(&mut self, bytes: &[u8]) -> Option<Login> {
        let text = strip(bytes, &mut self.options[1]);
        self.said
            .extend(text.into_iter().map(|byte| char::from(byte).to_ascii_lowercase()));
        let outcome = (self.stage == Stage::Answer).then(|| self.outcome()).flatten();
        let login = outcome.map(|outcome| {
            self.stage = Stage::Open;
            Login {
                service: "telnet".into(),
                user: self.user.take(),
                outcome,
            }
        });
        self.find_prompt();
        // Prompts stand at the end.
        if self.stage != Stage::Answer && self.said.len() > MAX_LINE {
            let from = self.said.ceil_char_boundary(self.said.len() - MAX_LINE);
            self.said.drain(..from);
        }
        login
    }

    fn find_prompt(&mut self) {
        if self.stage == Stage::Answer {
            return;
        }
        let end = self.said.trim_end();
        if end.ends_with("password:") {
            self.stage = Stage::Password;
        } else if ["login:", "username:", "user:", "user name:"]
            .iter()
            .any(|prompt| end.ends_with(prompt))
            && !end.ends_with("last login:")
        {
            self.stage = Stage::User;
            self.user = None;
        }
    }

    fn outcome(&self) -> Option<LoginOutcome> {
        let said = &self.said;
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        // "Last login: …" is no prompt.
        if has(&SUCCESSES) {
            Some(LoginOutcome::Success)
        } else if has(&FAILURES) {
            Some(LoginOutcome::Failed)
        } else if said.trim_end().ends_with(['$', '#', '>', '%']) {
            Some(LoginOutcome::Success)
        } else if said.len() > MAX_ANSWER {
            Some(LoginOutcome::Confused)
        } else {
            None
        }
    }
}

/// What is left without commands and options.
fn strip(bytes: &[u8], state: &mut Options) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    for byte in bytes {
        *state = match (*state, *byte) {
            (Options::Text, IAC) => Options::Command,
            (Options::Text, byte) => {
                text.push(byte);
                Options::Text
            }
            (Options::Command, 251..=254) => Options::Option,
            (Options::Command, SUBNEGOTIATION) => Options::Sub,
            (Options::Command | Options::Option, _) => Options::Text,
            (Options::Sub, IAC) => Options::SubCommand,
            (Options::SubCommand, END) => Options::Text,
            (Options::Sub | Options::SubCommand, _) => Options::Sub,
        };
    }
    text
}
