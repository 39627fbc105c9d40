//! The small file beside the segments: what is done with, and whether the last user said goodbye.

use lynceus_model::time::Timestamp;

pub(super) const NAME: &str = "state";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Entries below it are acknowledged or dropped.
    pub(super) done: u64,
    /// Greatest event time that was ever stored.
    pub(super) newest: Option<Timestamp>,
    /// Nothing was in memory when the last user ended.
    pub(super) clean: bool,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(22);
        bytes.extend_from_slice(&self.done.to_le_bytes());
        bytes.extend_from_slice(&self.newest.map_or(0, |time| time.0).to_le_bytes());
        bytes.push(self.newest.is_some().into());
        bytes.push(self.clean.into());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// `None` if it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (done, rest) = body.split_first_chunk::<8>()?;
        let (newest, rest) = rest.split_first_chunk::<8>()?;
        let [has_newest, clean] = *rest.as_array()?;
        Some(Self {
            done: u64::from_le_bytes(*done),
            newest: (has_newest == 1).then(|| Timestamp(i64::from_le_bytes(*newest))),
            clean: clean == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_damage_is_seen() {
        for newest in [None, Some(Timestamp(-5))] {
            let state = State {
                done: 77,
                newest,
                clean: true,
            };
            let mut bytes = state.encode();
            assert_eq!(State::decode(&bytes), Some(state));
            bytes[3] ^= 1;
            assert_eq!(State::decode(&bytes), None);
        }
        assert_eq!(State::decode(&[]), None);
    }
}
