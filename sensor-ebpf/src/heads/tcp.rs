//! Which segments of a TCP direction go up.

use super::{
    CLOSED, Choice, Content, FIRST_BYTES, HeadLimits, HeadRefused, OPEN, Offered, SYN, SYN_SEEN, SideHeads,
    TYPED_BYTES, TYPED_PACKETS, UNDECIDED, units,
};

#[inline(always)]
pub(super) fn decide_tcp(
    offered: &Offered,
    content: Content,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    let mut seq = offered.tcp_seq;
    if offered.tcp_flags & SYN != 0 {
        seq = seq.wrapping_add(1);
        if side.start != seq || side.state == CLOSED {
            *side = SideHeads::new(seq, SYN_SEEN);
        }
        if offered.payload_len == 0 {
            return Choice::Pass;
        }
    }
    if content.is(Content::TYPED) {
        return take_typed(offered, side, admit);
    }
    let before = *side;
    if content.is(Content::OPENS) {
        // A retransmission of the stretch's own first bytes is paid from the stretch.
        if side.state != OPEN || side.start != seq {
            let span = content.span;
            *side = SideHeads {
                start: seq,
                state: OPEN,
                packets: if side.state == UNDECIDED { side.packets } else { 0 },
                taken: if side.state == UNDECIDED { side.taken } else { 0 },
                span: units(if span < limits.bytes { span } else { limits.bytes }),
            };
        }
    } else {
        let offset = seq.wrapping_sub(side.start);
        match side.state {
            OPEN if offset < u32::from(side.span) * 64 => {}
            // In place and readable, but no message that is wanted.
            SYN_SEEN | UNDECIDED if offset == 0 && content.is(Content::OTHER) => {
                side.state = CLOSED;
                return take_first(offered, admit);
            }
            // The first bytes are still to come, or too few of them came to tell.
            SYN_SEEN | UNDECIDED if offset < u32::from(limits.bytes) => side.state = UNDECIDED,
            _ => return Choice::Pass,
        }
    }
    let choice = take_from_stretch(offered, side, limits, admit);
    if choice == Choice::Refuse(HeadRefused::SourceRate) {
        *side = before;
    }
    choice
}

/// The first bytes of a direction. A refused source gets no second try: what comes later is not the first.
#[inline(always)]
fn take_first(offered: &Offered, admit: impl FnOnce() -> bool) -> Choice {
    if !admit() {
        return Choice::Refuse(HeadRefused::SourceRate);
    }
    Choice::Take {
        bytes: if offered.payload_len < FIRST_BYTES as u32 {
            offered.payload_len as u16
        } else {
            FIRST_BYTES
        },
    }
}

#[inline(always)]
fn take_typed(offered: &Offered, side: &mut SideHeads, admit: impl FnOnce() -> bool) -> Choice {
    if side.packets > TYPED_PACKETS {
        return Choice::Pass;
    }
    if side.packets == TYPED_PACKETS {
        side.packets += 1;
        return Choice::Refuse(HeadRefused::FlowPackets);
    }
    if !admit() {
        return Choice::Refuse(HeadRefused::SourceRate);
    }
    side.packets += 1;
    Choice::Take {
        bytes: if offered.payload_len < TYPED_BYTES {
            offered.payload_len as u16
        } else {
            TYPED_BYTES as u16
        },
    }
}

#[inline(always)]
pub(super) fn take_from_stretch(
    offered: &Offered,
    side: &mut SideHeads,
    limits: &HeadLimits,
    admit: impl FnOnce() -> bool,
) -> Choice {
    let left = limits.bytes.saturating_sub(u16::from(side.taken) * 64);
    let refused = if side.packets >= limits.packets {
        HeadRefused::FlowPackets
    } else if left == 0 {
        HeadRefused::FlowBytes
    } else if !admit() {
        return Choice::Refuse(HeadRefused::SourceRate);
    } else {
        let bytes = if offered.payload_len < u32::from(left) {
            offered.payload_len as u16
        } else {
            left
        };
        side.packets += 1;
        side.taken = side.taken.saturating_add(units(bytes));
        return Choice::Take { bytes };
    };
    side.state = CLOSED;
    Choice::Refuse(refused)
}
