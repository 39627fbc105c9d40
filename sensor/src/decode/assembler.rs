//! Puts the pieces of one byte stream in order: TCP segments and QUIC CRYPTO frames.

/// Out-of-order pieces that one stream keeps. A hello comes in a handful of packets.
const MAX_AHEAD: usize = 8;

/// Bytes of one stream from a base on. Where pieces overlap, the first to come is kept.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Contiguous bytes from the base on.
    ready: Vec<u8>,
    /// Pieces behind a gap: offset from the base, bytes.
    ahead: Vec<(u32, Vec<u8>)>,
}

/// The stream holds as much as it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Assembler {
    pub(super) fn ready(&self) -> &[u8] {
        &self.ready
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.ahead.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.ready = Vec::new();
        self.ahead = Vec::new();
    }

    /// Adds `bytes` at `offset` from the base. `limit` bounds offset and bytes kept.
    pub(super) fn insert(&mut self, offset: u32, bytes: &[u8], limit: usize) -> Result<(), Full> {
        let start = offset as usize;
        let end = start.saturating_add(bytes.len());
        if end <= self.ready.len() {
            return Ok(());
        }
        let kept: usize = self.ahead.iter().map(|(_, piece)| piece.len()).sum();
        if end > limit || self.ready.len() + kept + bytes.len() > 2 * limit {
            return Err(Full);
        }
        if start > self.ready.len() {
            if self
                .ahead
                .iter()
                .any(|(at, piece)| *at == offset && piece.len() >= bytes.len())
            {
                return Ok(());
            }
            if self.ahead.len() >= MAX_AHEAD {
                return Err(Full);
            }
            self.ahead.push((offset, bytes.to_vec()));
            return Ok(());
        }
        self.append(start, bytes);
        self.close_gaps();
        Ok(())
    }

    /// Forgets the first `count` ready bytes; the base moves behind them.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.ready.len());
        self.ready.drain(..count);
        for (offset, _) in &mut self.ahead {
            *offset = offset.saturating_sub(count as u32);
        }
    }

    /// Moves the base back by `by` bytes, which are still to come.
    pub(super) fn move_base_back(&mut self, by: u32) {
        for (offset, _) in &mut self.ahead {
            *offset = offset.saturating_add(by);
        }
        if !self.ready.is_empty() {
            self.ahead.insert(0, (by, std::mem::take(&mut self.ready)));
        }
    }

    fn append(&mut self, start: usize, bytes: &[u8]) {
        if let Some(fresh) = bytes.get(self.ready.len() - start..) {
            self.ready.extend_from_slice(fresh);
        }
    }

    fn close_gaps(&mut self) {
        while let Some(index) = self
            .ahead
            .iter()
            .position(|(offset, _)| *offset as usize <= self.ready.len())
        {
            let (offset, piece) = self.ahead.swap_remove(index);
            self.append(offset as usize, &piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_in_any_order_and_overlapping() {
        let mut stream = Assembler::default();
        stream.insert(6, b"gh", 100).unwrap();
        stream.insert(2, b"cdXX", 100).unwrap();
        assert_eq!(stream.ready(), b"");
        stream.insert(0, b"abc", 100).unwrap();
        assert_eq!(stream.ready(), b"abcdXXgh");
        stream.consume(3);
        stream.insert(0, b"zzzzzij", 100).unwrap();
        assert_eq!(stream.ready(), b"dXXghij");
    }

    #[test]
    fn the_base_can_move_back() {
        let mut stream = Assembler::default();
        stream.insert(0, b"world", 100).unwrap();
        stream.move_base_back(6);
        stream.insert(0, b"hello ", 100).unwrap();
        assert_eq!(stream.ready(), b"hello world");
    }

    proptest! {
        #[test]
        fn is_bounded_and_keeps_what_it_says(
            pieces in prop::collection::vec((0u32..3000, prop::collection::vec(any::<u8>(), 0..300)), 0..60),
        ) {
            let mut stream = Assembler::default();
            for (offset, bytes) in pieces {
                let before = stream.ready().to_vec();
                let _ = stream.insert(offset, &bytes, 1000);
                prop_assert!(stream.ready().starts_with(&before));
                prop_assert!(stream.ready().len() <= 1000);
                prop_assert!(stream.ahead.len() <= MAX_AHEAD);
            }
        }
    }
}
