//! Printing: styled text on a terminal, plain text elsewhere (`NO_COLOR` and `CLICOLOR` are honored), JSON Lines.

use std::io::{self, Write};

use crate::text::Line;

/// Prints lines on standard output.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn lines(lines: &[Line]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    for line in lines {
        writeln!(out, "{}", line.ansi())?;
    }
    out.flush()
}

/// Prints bytes (JSON Lines) on standard output.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Columns of the terminal behind standard output; `None` where it is no terminal.
#[must_use]
pub(super) fn width() -> Option<usize> {
    use std::io::IsTerminal as _;
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size()
        .ok()
        .map(|(columns, _)| usize::from(columns))
        .filter(|columns| *columns > 0)
}
