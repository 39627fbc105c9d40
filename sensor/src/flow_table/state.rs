//! Zeek's connection state from what each side sent.
//!
//! The kernel keeps per side the flags it saw and how often, not their order, and file and kernel must agree, so the
//! state is a function of these. It follows Zeek's endpoint machine and `conn_state` (base/protocols/conn):
//!
//! 1. A side is *inactive* if it sent nothing; *reset* if it sent RST; *closed* if it sent FIN. FIN and RST together
//!    are closed where the other side sent FIN too (Zeek keeps a full FIN exchange), else reset.
//! 2. Otherwise a side that takes part in a handshake is *established* once the other side's SYN came as well; an
//!    originator whose SYN got no SYN back is *SYN sent*; a side seen without any SYN is *partial*. A bare ACK (no
//!    PSH) to an unanswered SYN leaves the responder inactive.
//! 3. Roles: who sent the first packet is the originator, unless all it sent of a handshake is the SYN-ACK; then the
//!    other side is.
//! 4. The pair of sides gives the state by Zeek's own table. "No data", which tells REJ from RSTR where both sides
//!    reset, means that no side sent PSH.
//!
//! UDP, ICMP and the rest: SF when both sides sent something, else S0.

use lynceus_model::flow::ConnState;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
const PSH: u8 = 8;
const ACK_NUMBER: usize = 4;
const TCP: u8 = 6;

/// What one side sent.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) packets: u64,
    /// OR of all TCP flags.
    pub(super) flags: u8,
    pub(super) flag_counts: &'a [u32; 8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Inactive,
    Partial,
    SynSent,
    Established,
    Closed,
    Reset,
}

/// State of a flow; `first` is the side that sent the first packet.
pub(super) fn of(protocol: u8, first: Seen<'_>, second: Seen<'_>) -> ConnState {
    if protocol != TCP {
        return if first.packets > 0 && second.packets > 0 {
            ConnState::Sf
        } else {
            ConnState::S0
        };
    }
    if only_answered(first) {
        tcp(second, first)
    } else {
        tcp(first, second)
    }
}

/// Sent a SYN-ACK and no SYN of its own: every packet carried ACK.
fn only_answered(side: Seen<'_>) -> bool {
    side.flags & SYN != 0 && u64::from(side.flag_counts[ACK_NUMBER]) == side.packets
}

fn tcp(originator: Seen<'_>, responder: Seen<'_>) -> ConnState {
    use Endpoint::{Closed, Established, Inactive, Partial, Reset, SynSent};
    let answered = responder.flags & SYN != 0;
    let from = ended(originator, responder).unwrap_or(match (originator.flags & SYN != 0, answered) {
        (true, false) => SynSent,
        // Without its SYN the originator is established by acknowledging the responder's.
        (_, true) => Established,
        (false, false) => Partial,
    });
    let to = ended(responder, originator).unwrap_or(if answered {
        Established
    } else if from == SynSent && responder.flags & PSH == 0 {
        Inactive
    } else {
        Partial
    });
    let quiet = |side| matches!(side, Inactive | Partial);
    let no_data = (originator.flags | responder.flags) & PSH == 0;
    match (from, to) {
        (SynSent, Reset) => ConnState::Rej,
        (Reset, Reset) if no_data => ConnState::Rej,
        (from, Reset) if quiet(from) => ConnState::Rstrh,
        (_, Reset) => ConnState::Rstr,
        (Reset, to) if quiet(to) => ConnState::Rstos0,
        (Reset, _) => ConnState::Rsto,
        (Closed, Closed) => ConnState::Sf,
        (Closed, to) if quiet(to) => ConnState::Sh,
        (Closed, _) => ConnState::S2,
        (from, Closed) if quiet(from) => ConnState::Shr,
        (_, Closed) => ConnState::S3,
        (SynSent, Inactive) => ConnState::S0,
        (Established, Established) => ConnState::S1,
        _ => ConnState::Oth,
    }
}

/// Rule 1; `None` where the handshake decides.
const fn ended(me: Seen<'_>, peer: Seen<'_>) -> Option<Endpoint> {
    let closed = me.flags & FIN != 0;
    if me.packets == 0 {
        Some(Endpoint::Inactive)
    } else if me.flags & RST != 0 && !(closed && peer.flags & FIN != 0) {
        Some(Endpoint::Reset)
    } else if closed {
        Some(Endpoint::Closed)
    } else {
        None
    }
}

/// Nothing more is to come: FIN from both sides, or a RST.
#[inline]
pub(super) const fn is_over(flags: [u8; 2]) -> bool {
    (flags[0] | flags[1]) & RST != 0 || flags[0] & flags[1] & FIN != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags by letter, one word a packet.
    fn side(packets: &str) -> (u64, u8, [u32; 8]) {
        let mut side = (0, 0, [0; 8]);
        for packet in packets.split_whitespace() {
            side.0 += 1;
            for letter in packet.chars() {
                let bit = "FSRPA".find(letter).unwrap();
                side.1 |= 1 << bit;
                side.2[bit] += 1;
            }
        }
        side
    }

    fn state(first: &str, second: &str) -> &'static str {
        let (one, two) = (side(first), side(second));
        let seen = |side: &'static (u64, u8, [u32; 8])| Seen {
            packets: side.0,
            flags: side.1,
            flag_counts: &side.2,
        };
        of(6, seen(Box::leak(Box::new(one))), seen(Box::leak(Box::new(two)))).name()
    }

    #[test]
    fn as_zeek_names_them() {
        for (first, second, expected) in [
            ("S", "", "S0"),
            ("S S S", "A", "S0"),
            ("S", "RA", "REJ"),
            ("S A", "SA", "S1"),
            ("S A PA FA A", "SA A PA FA", "SF"),
            ("S A FA", "SA A", "S2"),
            ("S A A", "SA FA", "S3"),
            ("S A R", "SA", "RSTO"),
            ("S R", "SA", "RSTO"),
            ("S A PA", "SA RA", "RSTR"),
            ("S R", "", "RSTOS0"),
            ("S F", "", "SH"),
            ("S FA RA", "SA PA FA", "SF"),
            ("S FA RA", "SA PA", "RSTO"),
            ("S A R", "SA R", "REJ"),
            ("S PA R", "SA R", "RSTR"),
            // The first packet seen is the SYN-ACK: roles turn.
            ("SA", "", "OTH"),
            ("SA RA", "", "RSTRH"),
            ("SA FA", "", "SHR"),
            ("SA", "R", "RSTO"),
            ("SA PA", "A PA", "S1"),
            // Seen from the middle.
            ("PA A", "PA", "OTH"),
            ("PA FA", "A FA", "SF"),
            ("A FA", "A", "SH"),
        ] {
            assert_eq!(state(first, second), expected, "{first} / {second}");
        }
    }

    #[test]
    fn other_protocols_know_answered_and_not() {
        let counts = [0; 8];
        let seen = |packets| Seen {
            packets,
            flags: 0,
            flag_counts: &counts,
        };
        assert_eq!(of(17, seen(1), seen(2)), ConnState::Sf);
        assert_eq!(of(1, seen(3), seen(0)), ConnState::S0);
    }
}
