//! Numbered places in pieces that never move: growing copies nothing and overshoots by one piece at most.

/// 4,096 places a piece.
const PIECE_BITS: u32 = 12;
const PIECE: usize = 1 << PIECE_BITS;

/// A growing array of pieces.
pub(super) struct Slab<T> {
    pieces: Vec<Box<[T]>>,
}

impl<T: Default> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// Number of places there are.
    pub(super) const fn capacity(&self) -> usize {
        self.pieces.len() << PIECE_BITS
    }

    /// Adds one piece of places with default values.
    pub(super) fn grow(&mut self) {
        self.pieces.push((0..PIECE).map(|_| T::default()).collect());
    }

    /// Bytes that hold one place.
    pub(super) const fn bytes_each() -> usize {
        size_of::<T>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, slot: u32) -> &T {
        &self.pieces[(slot >> PIECE_BITS) as usize][slot as usize & (PIECE - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pieces[(slot >> PIECE_BITS) as usize][slot as usize & (PIECE - 1)]
    }
}
