//! Numbers in as few bytes as they need (LEB128), read from bytes that may be hostile.

/// Writes 7 bits a byte, the lowest first.
pub(super) fn put(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Signed numbers near 0 become small unsigned ones.
pub(super) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads from the front.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// `None`: cut, or more than 128 bits.
    pub(super) fn wide(&mut self) -> Option<u128> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 121 && bits >> (128 - shift) != 0 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        // Most numbers have one byte.
        if let Some((first, rest)) = self.rest.split_first()
            && *first < 0x80
        {
            self.rest = rest;
            return Some((*first).into());
        }
        u64::try_from(self.wide()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_than_128_bits_are_refused() {
        let mut bytes = vec![0xff; 18];
        bytes.push(0x04);
        assert_eq!(Cursor::new(&bytes).wide(), None);
        bytes[18] = 0x03;
        assert_eq!(Cursor::new(&bytes).wide(), Some(u128::MAX));
        assert_eq!(Cursor::new(&[0x80; 40]).wide(), None);
        assert_eq!(Cursor::new(&[0x80]).number(), None);
    }

    proptest! {
        #[test]
        fn numbers_come_back(wide: u128, signed: i64) {
            let mut bytes = Vec::new();
            put(&mut bytes, wide);
            put(&mut bytes, zigzag(signed).into());
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.wide(), Some(wide));
            prop_assert_eq!(cursor.number().map(unzigzag), Some(signed));
            prop_assert!(cursor.rest.is_empty());
        }
    }
}
