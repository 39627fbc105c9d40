//! One direction of a TCP connection as the selector lets it through: pieces of sequence space, out of order,
//! repeated, overlapping, with holes where nothing was wanted.

use lynceus_model::app::AppEvent;

use super::assembler::{Assembler, Full};
use super::http::{self, Body};
use super::{Malformed, Protocol, Read, dns, ssh, tls, x509};

/// Bytes that wait for the rest of their message; the selector's widest stretch.
const MAX_PENDING: usize = 16_384;
/// A segment that is this far behind belongs to a new connection on the same ports, not to a retransmission.
const FAR_BEHIND: u32 = 1 << 20;

/// Later versions encrypt the certificate; the drafts of 1.3 have numbers above it, too.
const TLS_1_2: u16 = 0x0303;
/// Where a body should begin, this is the next response.
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// State of one direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Sequence number of the first byte that is not read yet.
    base: u32,
    phase: Phase,
    pending: Assembler,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    #[default]
    New,
    /// Bytes are pending, but they may not be the first ones.
    Seeking,
    /// A message may begin here; what came of it is too short to tell.
    Short,
    /// `pending` begins with a message of this protocol.
    Message(Protocol),
    /// The certificate of a TLS server follows; so many bytes of the record that began before are still to come.
    Flight(u16),
    /// So many bytes of a body until the next head may come.
    Body(u64),
    /// The same, and none of them came yet. The answer to a HEAD request states a length and has no body.
    WholeBody(u64),
    /// Between messages: only a segment that opens one is read.
    Idle,
}

/// A segment of this direction.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    pub(super) seq: u32,
    pub(super) bytes: &'a [u8],
    /// The capture holds only the first part of this segment.
    pub(super) cut: bool,
    /// One of the ports is that of DNS.
    pub(super) dns_port: bool,
    /// Known or guessed; tells the two kinds of HASSH apart.
    pub(super) from_client: bool,
}

/// What became of a segment.
pub(super) trait Sink {
    fn event(&mut self, event: AppEvent);
    fn malformed(&mut self, protocol: Protocol);
    /// Bytes of an unfinished message were given up.
    fn incomplete(&mut self);
    fn repeated(&mut self);
}

impl Phase {
    /// A message is begun.
    const fn waits(self) -> bool {
        matches!(self, Self::Message(_) | Self::Flight(_) | Self::Short)
    }
}

impl Direction {
    /// A message is begun. What is looked at for a beginning may be none.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.pending.is_empty() && self.phase != Phase::Seeking
    }

    pub(super) fn segment(&mut self, mut segment: Segment<'_>, sink: &mut impl Sink) {
        let opens = matches!(classify(segment.bytes, segment.dns_port), Class::Is(_));
        if self.phase == Phase::New {
            self.base = segment.seq;
            self.phase = if opens { Phase::Idle } else { Phase::Seeking };
        }
        let offset = segment.seq.wrapping_sub(self.base);
        let behind = self.base.wrapping_sub(segment.seq);
        if offset as i32 >= 0 {
            self.forward(segment, offset, opens, sink);
        } else if behind > FAR_BEHIND {
            self.restart(segment, opens, sink);
        } else if self.phase == Phase::Seeking && behind as usize <= MAX_PENDING {
            self.pending.move_base_back(behind);
            self.base = segment.seq;
            self.keep(segment, 0, opens, sink);
        } else {
            // A retransmission, perhaps with something new at its end.
            sink.repeated();
            if let Some(fresh @ [_, ..]) = segment.bytes.get(behind as usize..)
                && self.phase != Phase::Idle
            {
                (segment.seq, segment.bytes) = (self.base, fresh);
                let opens = matches!(classify(fresh, segment.dns_port), Class::Is(_));
                self.forward(segment, 0, opens, sink);
            }
        }
    }

    /// A segment at or behind the base.
    fn forward(&mut self, mut segment: Segment<'_>, offset: u32, opens: bool, sink: &mut impl Sink) {
        match self.phase {
            Phase::New | Phase::Idle => {
                if opens || offset == 0 && classify(segment.bytes, segment.dns_port) == Class::TooShort {
                    self.begin(segment, sink);
                }
            }
            Phase::WholeBody(_) if offset == 0 && segment.bytes.starts_with(STATUS_LINE) => {
                self.begin(segment, sink)
            }
            Phase::Body(left) | Phase::WholeBody(left) => {
                let skipped = left.saturating_sub(u64::from(offset));
                if left < u64::from(offset) {
                    // The end of the body passed unseen.
                    self.phase = Phase::Idle;
                    self.forward(segment, offset, opens, sink);
                } else if let Some(next @ [_, ..]) = usize::try_from(skipped)
                    .ok()
                    .and_then(|skipped| segment.bytes.get(skipped..))
                {
                    segment.seq = segment.seq.wrapping_add(skipped as u32);
                    segment.bytes = next;
                    self.begin(segment, sink);
                }
            }
            Phase::Seeking | Phase::Short | Phase::Message(_) | Phase::Flight(_) => {
                self.keep(segment, offset, opens, sink);
            }
        }
    }

    /// Reads a segment that begins where a message should; nothing is pending.
    fn begin(&mut self, segment: Segment<'_>, sink: &mut impl Sink) {
        self.base = segment.seq;
        let start = match classify(segment.bytes, segment.dns_port) {
            Class::Is(protocol) => Phase::Message(protocol),
            Class::TooShort => Phase::Short,
            Class::Other => {
                self.phase = Phase::Idle;
                return;
            }
        };
        // The common case: the message is whole and nothing is copied.
        let (phase, read) = advance(start, segment.bytes, segment, sink);
        self.base = self.base.wrapping_add(read as u32);
        self.phase = phase;
        if phase.waits() && !segment.cut {
            let rest = &segment.bytes[read..];
            if self.pending.insert(0, rest, MAX_PENDING) == Err(Full) {
                self.give_up(sink);
            }
        } else if segment.cut {
            self.end_cut(sink);
        }
    }

    /// Adds a segment to what is pending and reads on.
    fn keep(&mut self, segment: Segment<'_>, offset: u32, opens: bool, sink: &mut impl Sink) {
        let in_place = offset as usize <= self.pending.ready().len();
        let lost = self.phase == Phase::Seeking
            && !self.pending.ready().is_empty()
            && classify(self.pending.ready(), segment.dns_port) == Class::Other;
        if (opens && lost && !in_place)
            || self.pending.insert(offset, segment.bytes, MAX_PENDING) == Err(Full)
        {
            return self.restart(segment, opens, sink);
        }
        let start = match (self.phase, classify(self.pending.ready(), segment.dns_port)) {
            (Phase::Seeking | Phase::Short, Class::Is(protocol)) => Phase::Message(protocol),
            (Phase::Short, Class::Other) => Phase::Idle,
            (Phase::Seeking | Phase::Short, _) => return,
            (phase, _) => phase,
        };
        let (phase, read) = advance(start, self.pending.ready(), segment, sink);
        self.base = self.base.wrapping_add(read as u32);
        self.pending.consume(read);
        self.phase = phase;
        if !phase.waits() {
            self.pending.clear();
        }
        if segment.cut {
            self.end_cut(sink);
        }
    }

    /// Gives up what is pending; the segment may be a new beginning.
    fn restart(&mut self, segment: Segment<'_>, opens: bool, sink: &mut impl Sink) {
        self.give_up(sink);
        if opens {
            self.begin(segment, sink);
        }
    }

    fn give_up(&mut self, sink: &mut impl Sink) {
        if self.is_incomplete() {
            sink.incomplete();
        }
        self.pending.clear();
        self.phase = Phase::Idle;
    }

    /// The rest of a segment is missing in the capture: the message will never be whole.
    fn end_cut(&mut self, sink: &mut impl Sink) {
        match self.phase {
            Phase::Message(_) | Phase::Flight(_) | Phase::Short | Phase::Seeking => {
                sink.incomplete();
                self.pending.clear();
                self.phase = Phase::Idle;
            }
            // The count of the body's bytes goes on with the sequence numbers.
            Phase::New | Phase::Body(_) | Phase::WholeBody(_) | Phase::Idle => {}
        }
    }
}

/// Reads messages off `bytes` as long as they are whole. Returns the phase after them and how many bytes are read.
fn advance(start: Phase, bytes: &[u8], segment: Segment<'_>, sink: &mut impl Sink) -> (Phase, usize) {
    let mut phase = start;
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        phase = match phase {
            Phase::New | Phase::Idle | Phase::Seeking => return (Phase::Idle, bytes.len()),
            Phase::WholeBody(_) if rest.is_empty() => return (phase, at),
            Phase::WholeBody(_) if rest.starts_with(STATUS_LINE) => Phase::Message(Protocol::Http),
            Phase::Body(left) | Phase::WholeBody(left) => {
                let here = left.min(rest.len() as u64);
                at += here as usize;
                if left > here || at == bytes.len() {
                    return (
                        if left > here {
                            Phase::Body(left - here)
                        } else {
                            Phase::Idle
                        },
                        at,
                    );
                }
                Phase::Short
            }
            Phase::Short => match classify(rest, segment.dns_port) {
                Class::Is(protocol) => Phase::Message(protocol),
                Class::TooShort if rest.is_empty() => return (Phase::Idle, at),
                Class::TooShort => return (Phase::Short, at),
                Class::Other => Phase::Idle,
            },
            Phase::Flight(left) => match tls::read_certificate(rest, left) {
                Ok(Read::Done { value, consumed }) => {
                    at += consumed;
                    match value.map(|der| x509::read(&der)) {
                        Some(Ok(certificate)) => sink.event(AppEvent::Certificate(Box::new(certificate))),
                        Some(Err(Malformed)) => sink.malformed(Protocol::Certificate),
                        None => {}
                    }
                    Phase::Idle
                }
                Ok(Read::NeedMore) => return (phase, at),
                Err(Malformed) => {
                    sink.malformed(Protocol::Certificate);
                    Phase::Idle
                }
            },
            Phase::Message(protocol) => match message(protocol, rest, segment) {
                Ok(Read::Done { value, consumed }) => {
                    at += consumed;
                    sink.event(value.0);
                    value.1
                }
                Ok(Read::NeedMore) => return (phase, at),
                Err(Malformed) => {
                    sink.malformed(protocol);
                    Phase::Idle
                }
            },
        };
        // Behind a head without body, or behind a message of DNS, the next one may follow at once.
        if phase == Phase::Body(0) && at == bytes.len() {
            return (Phase::Idle, at);
        }
    }
}

/// Reads one message; says what comes after it.
fn message(
    protocol: Protocol,
    bytes: &[u8],
    segment: Segment<'_>,
) -> Result<Read<(AppEvent, Phase)>, Malformed> {
    let then = |read: Read<AppEvent>, phase| read.map(|event| (event, phase));
    match protocol {
        Protocol::Tls => Ok(tls::read_hello(bytes)?.map(|(hello, left)| {
            let phase = match &hello {
                AppEvent::TlsServer(hello) if hello.version <= TLS_1_2 => Phase::Flight(left),
                _ => Phase::Idle,
            };
            (hello, phase)
        })),
        Protocol::Ssh => Ok(then(
            ssh::read_banner(bytes)?,
            Phase::Message(Protocol::SshKeyExchange),
        )),
        Protocol::SshKeyExchange => Ok(then(
            ssh::read_key_exchange(bytes, segment.from_client)?,
            Phase::Idle,
        )),
        Protocol::Http => {
            let whole = segment.cut || bytes.len() >= MAX_PENDING / 2;
            Ok(http::read_head(bytes, whole)?.map(|(event, body)| {
                let phase = match body {
                    Body::Length(0) => Phase::Body(0),
                    Body::Length(length) => Phase::WholeBody(length),
                    Body::Unknown => Phase::Idle,
                };
                (event, phase)
            }))
        }
        Protocol::Dns => {
            let Some((length, rest)) = bytes.split_first_chunk() else {
                return Ok(Read::NeedMore);
            };
            let length = usize::from(u16::from_be_bytes(*length));
            let present = &rest[..rest.len().min(length)];
            if present.len() < length && !segment.cut {
                return Ok(Read::NeedMore);
            }
            Ok(Read::Done {
                value: (AppEvent::Dns(dns::read(present, false)?), Phase::Body(0)),
                consumed: 2 + present.len(),
            })
        }
        Protocol::Quic | Protocol::Dhcp | Protocol::Arp | Protocol::Neighbour | Protocol::Certificate => {
            Err(Malformed)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Is(Protocol),
    TooShort,
    Other,
}

/// What begins with these bytes.
fn classify(bytes: &[u8], dns_port: bool) -> Class {
    match *bytes {
        [] => return Class::TooShort,
        // A hello; the change-cipher-spec that a client sends before its second one; a server's warning before its own.
        [0x16, 3, _, _, _, 1 | 2, ..]
        | [0x14, 3, _, 0, 1, 1, 0x16, ..]
        | [0x15, 3, _, 0, 2, 1, _, 0x16, ..] => {
            return Class::Is(Protocol::Tls);
        }
        [0x16, 3, ..] | [0x16] if bytes.len() < 6 => return Class::TooShort,
        [0x14 | 0x15, 3, ..] | [0x14 | 0x15] if bytes.len() < 8 => return Class::TooShort,
        [b'S', b'S', b'H', b'-', ..] => return Class::Is(Protocol::Ssh),
        _ => {}
    }
    if dns_port {
        // Length prefix, id, flags, questions: see the selector.
        return match *bytes {
            [high, low, _, _, _, _, 0, 1, ..] if u16::from_be_bytes([high, low]) >= 12 => {
                Class::Is(Protocol::Dns)
            }
            [high, low, _, _, _, _, _, _, ..]
                if usize::from(u16::from_be_bytes([high, low])) + 2 == bytes.len() && bytes.len() >= 14 =>
            {
                Class::Is(Protocol::Dns)
            }
            [_, _, _, _, _, _, _, _, ..] => Class::Other,
            _ => Class::TooShort,
        };
    }
    if b"SSH-".starts_with(bytes) {
        return Class::TooShort;
    }
    match http::may_be_head(bytes) {
        Some(true) => Class::Is(Protocol::Http),
        Some(false) => Class::Other,
        None => Class::TooShort,
    }
}

#[cfg(test)]
mod tests;
