//! What leaves the program: the clipboard of the terminal, files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::text::Tone;

/// Terminals refuse longer ones; the text of a screen is shorter.
const MAX_COPY: usize = 100_000;
/// Numbers that are tried for a file name.
const MAX_FILES: u32 = 1000;

/// To the clipboard of the terminal in front of the reader, also over SSH: OSC 52. In tmux also to its own buffer and,
/// through it, to the terminal around it: tmux passes OSC 52 of programs on only where it was told to.
pub(super) fn copy(text: &str) -> Option<(Tone, String)> {
    if text.len() > MAX_COPY {
        return Some((Tone::Bad, "too much for a clipboard: x writes a file".to_owned()));
    }
    let sequence = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    let mut out = io::stdout().lock();
    let written = out.write_all(sequence.as_bytes()).and_then(|()| out.flush());
    if std::env::var_os("TMUX").is_some_and(|value| !value.is_empty()) {
        // Without tmux in the path the sequence above has to do.
        let _ = through_tmux(text);
    }
    written
        .err()
        .map(|error| (Tone::Bad, format!("cannot copy: {error}")))
}

fn through_tmux(text: &str) -> io::Result<()> {
    let mut tmux = Command::new("tmux")
        .args(["load-buffer", "-w", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut input) = tmux.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    tmux.wait().map(drop)
}

/// Writes a new file into the current folder; never over another one.
pub(super) fn write(name: &str, ending: &str, content: &str) -> Option<(Tone, String)> {
    for number in 1..=MAX_FILES {
        let path = match number {
            1 => format!("{name}.{ending}"),
            number => format!("{name}-{number}.{ending}"),
        };
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file.and_then(|mut file| file.write_all(content.as_bytes())),
        };
        return Some(match written {
            Ok(()) => (Tone::Good, format!("written: {path}")),
            Err(error) => (Tone::Bad, format!("cannot write {path}: {error}")),
        });
    }
    Some((
        Tone::Bad,
        format!("there are {MAX_FILES} files {name}-*.{ending} already"),
    ))
}
