//! Heads of HTTP/1 requests and responses (RFC 9112), as senders write them and not only as they should.
//!
//! Reading is lenient where a look-alike must not hide: bare LF, spaces and bytes above 127 in the target, unknown
//! methods, unreadable header lines (skipped). The version at the end of the request line, or at the beginning of the
//! status line, must be `HTTP/1.x`.

use lynceus_model::app::{AppEvent, HttpRequest, HttpResponse};

use super::{Malformed, Read};

/// Longest method. WebDAV's `UPDATEREDIRECTREF` has 17 letters.
const MAX_METHOD: usize = 32;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes, then the next head may come.
    Length(u64),
    /// Chunked or until the end of the stream.
    Unknown,
}

/// Reads one head.
///
/// `whole`: no more bytes will come; a head without its empty line then gives what stands in it.
///
/// # Errors
/// The first line is no request line and no status line of HTTP/1.
pub fn read_head(bytes: &[u8], whole: bool) -> Result<Read<(AppEvent, Body)>, Malformed> {
    let (mut lines, consumed) = match head_end(bytes) {
        Some(end) => (Lines(&bytes[..end]), end),
        None if whole => (Lines(bytes), bytes.len()),
        None => return Ok(Read::NeedMore),
    };
    let cut = !lines.0.contains(&b'\n');
    let first = lines.next().ok_or(Malformed)?;
    let value = if first.starts_with(b"HTTP/") {
        response(first, lines)?
    } else {
        request(first, cut, lines)?
    };
    Ok(Read::Done { value, consumed })
}

/// Tells whether `bytes` may be the beginning of a head; `None` while too short to tell.
#[must_use]
pub fn may_be_head(bytes: &[u8]) -> Option<bool> {
    let method = bytes.iter().take(MAX_METHOD + 1);
    match method
        .clone()
        .position(|byte| !(byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_')))
    {
        Some(4) if bytes.starts_with(b"HTTP/") => match bytes[5..] {
            [b'1', b'.', b'0'..=b'9', b' ', ..] => Some(true),
            [] | [b'1'] | [b'1', b'.'] | [b'1', b'.', b'0'..=b'9'] => None,
            _ => Some(false),
        },
        Some(at) => Some(at >= 3 && bytes[at] == b' '),
        None => (bytes.len() > MAX_METHOD).then_some(false),
    }
}

/// `cut`: the line's end is missing.
fn request(first: &[u8], cut: bool, lines: Lines<'_>) -> Result<(AppEvent, Body), Malformed> {
    let line = first.trim_ascii_end();
    let method_end = line.iter().position(|byte| *byte == b' ').ok_or(Malformed)?;
    let version_start = line.iter().rposition(|byte| *byte == b' ').ok_or(Malformed)?;
    let (method, target) = (&line[..method_end], line.get(method_end + 1..version_start));
    let version = &line[version_start + 1..];
    let is_http = is_version(version) || cut && b"HTTP/1.".starts_with(version);
    if !is_http || method.is_empty() || method.len() > MAX_METHOD {
        return Err(Malformed);
    }
    let fields = Fields::read(lines);
    let body = match fields.content_length {
        Some(length) => Body::Length(length),
        None if fields.chunked => Body::Unknown,
        None => Body::Length(0),
    };
    let request = HttpRequest {
        method: text(method),
        host: fields.host,
        uri: text(target.ok_or(Malformed)?.trim_ascii()),
        user_agent: fields.user_agent,
        content_length: fields.content_length,
    };
    Ok((AppEvent::HttpRequest(request), body))
}

fn response(first: &[u8], lines: Lines<'_>) -> Result<(AppEvent, Body), Malformed> {
    let mut words = first.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let status = match (words.next(), words.next().map(<[u8]>::trim_ascii_end)) {
        (Some(version), Some(&[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9']))
            if is_version(version) =>
        {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Malformed),
    };
    let fields = Fields::read(lines);
    let body = match (status, fields.content_length) {
        (100..=199 | 204 | 304, _) => Body::Length(0),
        (_, Some(length)) if !fields.chunked => Body::Length(length),
        _ => Body::Unknown,
    };
    let response = HttpResponse {
        status,
        mime: fields.mime,
        content_length: fields.content_length,
        server: fields.server,
    };
    Ok((AppEvent::HttpResponse(response), body))
}

fn is_version(word: &[u8]) -> bool {
    matches!(word, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'])
}

/// The header fields that we keep; of a repeated field the first.
#[derive(Default)]
struct Fields {
    host: Option<String>,
    user_agent: Option<String>,
    server: Option<String>,
    mime: Option<String>,
    content_length: Option<u64>,
    chunked: bool,
}

impl Fields {
    fn read(lines: Lines<'_>) -> Self {
        let mut fields = Self::default();
        for line in lines {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let (name, value) = (line[..colon].trim_ascii_end(), line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"host") {
                fields.host.get_or_insert_with(|| text(value));
            } else if name.eq_ignore_ascii_case(b"user-agent") {
                fields.user_agent.get_or_insert_with(|| text(value));
            } else if name.eq_ignore_ascii_case(b"server") {
                fields.server.get_or_insert_with(|| text(value));
            } else if name.eq_ignore_ascii_case(b"content-type") {
                let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
                fields
                    .mime
                    .get_or_insert_with(|| text(kind.trim_ascii()).to_ascii_lowercase());
            } else if name.eq_ignore_ascii_case(b"content-length") {
                fields.content_length = fields.content_length.or_else(|| number(value));
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                fields.chunked = true;
            }
        }
        fields
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Bytes that are not UTF-8 become U+FFFD.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Offset behind the empty line that ends a head.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'\n')? + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Lines without their ends; an empty line ends them.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.0[..end], &self.0[end + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = rest;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests;
