//! What the network is compared with: logistic regression on how often characters and pairs of them occur.

use lynceus_detect::letters_model::{ALPHABET, Reader, sigmoid, symbol};

use crate::random::Random;
use crate::traces::Trace;

const LETTERS: usize = ALPHABET.len();
const FEATURES: usize = LETTERS + LETTERS * LETTERS + 1;

pub(crate) struct Ngram(Vec<f32>);

/// Shares of characters and pairs, grown by one character.
struct Counts {
    seen: Vec<(usize, f32)>,
    length: f32,
    last: Option<usize>,
}

impl Counts {
    const fn new() -> Self {
        Self {
            seen: Vec::new(),
            length: 0.0,
            last: None,
        }
    }

    fn read(&mut self, character: u8) {
        let letter = symbol(character);
        self.add(letter);
        if let Some(last) = self.last {
            self.add(LETTERS + last * LETTERS + letter);
        }
        self.last = Some(letter);
        self.length += 1.0;
    }

    fn add(&mut self, feature: usize) {
        match self.seen.iter_mut().find(|(known, _)| *known == feature) {
            Some((_, count)) => *count += 1.0,
            None => self.seen.push((feature, 1.0)),
        }
    }
}

impl Ngram {
    fn judge(&self, counts: &Counts) -> f32 {
        let sum: f32 = counts
            .seen
            .iter()
            .map(|(at, count)| self.0[*at] * count / counts.length)
            .sum();
        sigmoid(sum + self.0[FEATURES - 1])
    }

    pub(crate) fn train(traces: &[Trace], rounds: usize, seed: u64) -> Self {
        let mut model = Self(vec![0.0; FEATURES]);
        let mut squares = vec![1e-6_f32; FEATURES];
        let mut random = Random::new(seed);
        let mut order: Vec<usize> = (0..traces.len()).collect();
        for _ in 0..rounds {
            random.shuffle(&mut order);
            for trace in order.iter().map(|at| &traces[*at]) {
                let length = random.count(Reader::MIN_CHARACTERS as u64, trace.letters.len() as u64) as usize;
                let mut counts = Counts::new();
                trace.letters[..length]
                    .iter()
                    .for_each(|letter| counts.read(*letter));
                let (truth, weight) = if trace.kind.malicious() {
                    (1.0, 1.0)
                } else {
                    (0.0, 3.0)
                };
                let error = weight * (model.judge(&counts) - truth);
                let bias = (FEATURES - 1, counts.length);
                for (at, count) in counts.seen.iter().chain([&bias]) {
                    let slope = error * count / counts.length;
                    squares[*at] += slope * slope;
                    model.0[*at] -= 0.3 * slope / libm::sqrtf(squares[*at]);
                }
            }
        }
        model
    }

    /// The highest score of a text at the lengths at which it is judged.
    pub(crate) fn highest(&self, text: &[u8]) -> f32 {
        let mut counts = Counts::new();
        let mut highest = 0.0_f32;
        for (at, character) in text.iter().enumerate() {
            counts.read(*character);
            if Reader::due(at + 1) {
                highest = highest.max(self.judge(&counts));
            }
        }
        highest
    }
}
