//! The sequence model on behavioral letters: a small recurrent network (GRU) that reads a text character by character
//! and says after each one how much the channel looks like command and control.
//!
//! The weights are in `data/letters_model.bin`, made by `cargo xtask train` from traces that our own generator makes
//! (`examples/train`); `data/letters_model.toml` says how. Arithmetic is plain `f32` in a fixed order with the
//! exponential function of the `libm` crate, so every machine computes the same bits.

use std::sync::LazyLock;

/// Width of the hidden state.
pub const HIDDEN: usize = 16;
/// The three gates of a GRU: update, reset, candidate.
const GATES: usize = 3 * HIDDEN;
/// Characters that letters are made of; all others count as the last one.
pub const ALPHABET: &[u8; 51] = b"abcdefghiABCDEFGHIrstuvwxyzRSTUVWXYZ1234567890,.+*?";

/// Where a part of the parameters lies.
pub const INPUT: usize = 0;
/// One row of three gates for each element of the state.
pub const RECURRENT: usize = INPUT + ALPHABET.len() * GATES;
/// Added to the recurrent part of the candidate, under the reset gate.
pub const CANDIDATE_BIAS: usize = RECURRENT + HIDDEN * GATES;
pub const OUTPUT: usize = CANDIDATE_BIAS + HIDDEN;
pub const OUTPUT_BIAS: usize = OUTPUT + HIDDEN;
/// Number of parameters.
pub const PARAMETERS: usize = OUTPUT_BIAS + 1;

/// Parameters in the order of the constants above.
#[derive(Clone, Debug, PartialEq)]
pub struct Model(pub Vec<f32>);

/// How far a text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State(pub [f32; HIDDEN]);

/// What one step computed on its way; training goes back over it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub update: [f32; HIDDEN],
    pub reset: [f32; HIDDEN],
    /// Recurrent part of the candidate, before the reset gate.
    pub recurrent: [f32; HIDDEN],
    pub candidate: [f32; HIDDEN],
}

impl Model {
    /// The model that is shipped.
    #[must_use]
    pub fn shipped() -> &'static Self {
        static MODEL: LazyLock<Model> = LazyLock::new(|| {
            Model::read(include_bytes!("../data/letters_model.bin")).unwrap_or_else(Model::blank)
        });
        &MODEL
    }

    /// All parameters 0: every text scores one half.
    #[must_use]
    pub fn blank() -> Self {
        Self(vec![0.0; PARAMETERS])
    }

    /// Parameters as little-endian `f32`. `None`: the number does not fit or one is not finite.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let parameters: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let whole = rest.is_empty() && parameters.len() == PARAMETERS;
        (whole && parameters.iter().all(|parameter| parameter.is_finite())).then_some(Self(parameters))
    }

    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|parameter| parameter.to_le_bytes())
            .collect()
    }

    /// Reads one more character.
    pub fn step(&self, state: &mut State, character: u8) -> Step {
        let before = state.0;
        let input = &self.0[INPUT + symbol(character) * GATES..][..GATES];
        let mut sums = [0.0_f32; GATES];
        for (value, row) in before.iter().zip(self.0[RECURRENT..].chunks_exact(GATES)) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += value * weight;
            }
        }
        let mut step = Step::default();
        for n in 0..HIDDEN {
            step.update[n] = sigmoid(input[n] + sums[n]);
            step.reset[n] = sigmoid(input[HIDDEN + n] + sums[HIDDEN + n]);
            step.recurrent[n] = sums[2 * HIDDEN + n] + self.0[CANDIDATE_BIAS + n];
            step.candidate[n] = tanh(input[2 * HIDDEN + n] + step.reset[n] * step.recurrent[n]);
            state.0[n] = (1.0 - step.update[n]) * step.candidate[n] + step.update[n] * before[n];
        }
        step
    }

    /// 0 to 1, for what was read so far.
    #[must_use]
    pub fn score(&self, state: &State) -> f32 {
        let weights = &self.0[OUTPUT..OUTPUT + HIDDEN];
        let sum: f32 = state
            .0
            .iter()
            .zip(weights)
            .map(|(value, weight)| value * weight)
            .sum();
        sigmoid(sum + self.0[OUTPUT_BIAS])
    }
}

/// Reads the letters of one channel from the beginning and judges where it is due.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
    length: usize,
}

impl Reader {
    /// Fewer characters say nothing: about fifteen flows.
    pub const MIN_CHARACTERS: usize = 30;
    /// Judged at every third character, as Slips does.
    pub const EVERY: usize = 3;

    /// Characters read so far.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Reads on; the score where one is due after this character.
    pub fn read(&mut self, model: &Model, character: u8) -> Option<f32> {
        model.step(&mut self.state, character);
        self.length += 1;
        Self::due(self.length).then(|| model.score(&self.state))
    }

    /// Whether a text of this length is judged.
    #[must_use]
    pub const fn due(length: usize) -> bool {
        length >= Self::MIN_CHARACTERS && length.is_multiple_of(Self::EVERY)
    }
}

/// Place of a character in the [`ALPHABET`].
#[must_use]
pub fn symbol(character: u8) -> usize {
    ALPHABET
        .iter()
        .position(|known| *known == character)
        .unwrap_or(ALPHABET.len() - 1)
}

/// 1 / (1 + e⁻ˣ).
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn highest(text: &str) -> f32 {
        let mut reader = Reader::default();
        let scores = text
            .bytes()
            .filter_map(|character| reader.read(Model::shipped(), character));
        scores.fold(0.0, f32::max)
    }

    fn about() -> toml::Table {
        include_str!("../data/letters_model.toml")
            .parse()
            .expect("it is TOML")
    }

    #[test]
    fn the_weights_are_those_that_are_described() {
        let bytes = include_bytes!("../data/letters_model.bin");
        let hash: String = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(about()["sha256"].as_str(), Some(hash.as_str()));
        assert_eq!(about()["parameters"].as_integer(), Some(PARAMETERS as i64));
        assert_eq!(Model::shipped().write(), bytes);
        assert_eq!(Model::read(&bytes[1..]), None);
        let limit = crate::command_and_control::Config::default().min_score;
        assert_eq!(about()["limit"].as_float(), Some(limit));
    }

    /// Machines and compilers must agree to the last bit: alarms hang on it.
    #[test]
    fn scores_are_the_same_bits_everywhere() {
        let bits =
            [format!("44{}", "d.".repeat(148)), "a,A,r+R*0s1".repeat(9)].map(|text| highest(&text).to_bits());
        assert_eq!(bits, [0x3f7f_e601, 0x3f71_b098]);
    }

    #[test]
    fn rhythm_scores_high_and_browsing_low() {
        for (head, beat) in [("11", "a."), ("44", "d."), ("55", "e,A,")] {
            let text = format!("{head}{}", beat.repeat(40));
            assert!(highest(&text) > 0.9, "{text} {}", highest(&text));
        }
        for text in [
            "78Z.Z.y.Z,z.Z.Z,Y.Z.Z+Z.z.Z.Z,".repeat(4),
            "99i+i+i+i+z+i+i*I+".repeat(5),
        ] {
            assert!(highest(&text) < 0.5, "{text} {}", highest(&text));
        }
        assert_eq!(highest("11a.a."), 0.0, "too short to be judged");
    }

    #[test]
    fn unknown_characters_are_read() {
        assert!(highest(&"\u{e9}!\0".repeat(30)).is_finite());
    }
}
