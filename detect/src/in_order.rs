//! A queue that gives the smallest first, for what comes almost in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What comes in order stands in a line and costs one step; what comes too late for it goes to a heap beside it, so that
/// the worst order costs no more than a heap does.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    line: VecDeque<T>,
    late: BinaryHeap<Reverse<T>>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            late: BinaryHeap::new(),
        }
    }
}

impl<T: Ord> InOrder<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.line.back().is_some_and(|last| item < *last) {
            self.late.push(Reverse(item));
        } else {
            self.line.push_back(item);
        }
    }

    /// The smallest.
    pub(crate) fn peek(&self) -> Option<&T> {
        match (self.line.front(), self.late.peek()) {
            (Some(first), Some(Reverse(late))) => Some(first.min(late)),
            (first, late) => first.or_else(|| late.map(|Reverse(late)| late)),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        match (self.line.front(), self.late.peek()) {
            (Some(first), Some(Reverse(late))) if first <= late => self.line.pop_front(),
            (None, _) | (_, Some(_)) => self.late.pop().map(|Reverse(late)| late),
            (Some(_), None) => self.line.pop_front(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.late.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As a heap does, whatever comes when.
        #[test]
        fn gives_what_a_heap_gives(steps in proptest::collection::vec(proptest::option::of(0u8..40), 0..200)) {
            let mut queue = InOrder::default();
            let mut heap = BinaryHeap::new();
            for step in steps {
                match step {
                    Some(item) => {
                        queue.push(item);
                        heap.push(Reverse(item));
                    }
                    None => {
                        prop_assert_eq!(queue.peek(), heap.peek().map(|Reverse(item)| item));
                        prop_assert_eq!(queue.pop(), heap.pop().map(|Reverse(item)| item));
                    }
                }
                prop_assert_eq!(queue.is_empty(), heap.is_empty());
            }
        }
    }
}
