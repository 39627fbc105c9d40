//! Training of the recurrent network: back-propagation through time and Adam, one thread, fixed order.

use lynceus_detect::letters_model::{
    CANDIDATE_BIAS, HIDDEN, INPUT, Model, OUTPUT, OUTPUT_BIAS, PARAMETERS, RECURRENT, Reader, State, Step,
    symbol,
};

use crate::random::Random;
use crate::traces::Trace;

const GATES: usize = 3 * HIDDEN;
/// Characters of a trace that are learnt from: more say the same again.
const LEARNT: usize = 180;
const BATCH: usize = 32;
/// A good program that is taken for a channel costs more than a channel that is missed.
const GOOD_WEIGHT: f32 = 3.0;

/// Trains a new model; `each` hears of the mean loss of every round.
pub(crate) fn train(traces: &[Trace], rounds: usize, seed: u64, mut each: impl FnMut(usize, f32)) -> Model {
    let mut random = Random::new(seed);
    let mut model = Model::blank();
    for (at, parameter) in model.0.iter_mut().enumerate() {
        let scale = if at < RECURRENT { 0.3 } else { 0.25 };
        let biased = (CANDIDATE_BIAS..OUTPUT).contains(&at) || at == OUTPUT_BIAS;
        *parameter = if biased {
            0.0
        } else {
            (random.normal() * scale) as f32
        };
    }
    let mut adam = Adam::new();
    let mut order: Vec<usize> = (0..traces.len()).collect();
    for round in 0..rounds {
        random.shuffle(&mut order);
        // Half a cosine from full to almost no pace.
        let part = round as f64 / rounds as f64;
        let pace = 0.004 * f64::midpoint(1.0, libm::cos(part * std::f64::consts::PI)) + 0.0001;
        let mut loss = 0.0;
        for batch in order.chunks(BATCH) {
            let mut gradient = vec![0.0; PARAMETERS];
            for trace in batch.iter().map(|at| &traces[*at]) {
                loss += learn(&model, trace, &mut gradient);
            }
            gradient.iter_mut().for_each(|value| *value /= batch.len() as f32);
            adam.apply(&mut model, &mut gradient, pace as f32);
        }
        each(round + 1, loss / traces.len() as f32);
    }
    model
}

/// Adds the gradient of the loss of one trace: mean cross entropy over the lengths at which it is judged.
pub(crate) fn learn(model: &Model, trace: &Trace, gradient: &mut [f32]) -> f32 {
    let text = &trace.letters[..trace.letters.len().min(LEARNT)];
    let judged = (1..=text.len()).filter(|length| Reader::due(*length)).count();
    let (truth, weight) = if trace.kind.malicious() {
        (1.0, 1.0)
    } else {
        (0.0, GOOD_WEIGHT)
    };
    let weight = weight / judged.max(1) as f32;
    let mut states = vec![State::default()];
    let mut steps: Vec<Step> = Vec::with_capacity(text.len());
    for character in text {
        let mut state = *states.last().expect("there is the first");
        steps.push(model.step(&mut state, *character));
        states.push(state);
    }
    let mut loss = 0.0;
    let mut back = [0.0_f32; HIDDEN];
    for at in (0..text.len()).rev() {
        if Reader::due(at + 1) {
            let after = &states[at + 1];
            let score = model.score(after);
            let hit = if truth > 0.5 { score } else { 1.0 - score };
            loss -= weight * libm::logf(hit.max(1e-7));
            let error = weight * (score - truth);
            gradient[OUTPUT_BIAS] += error;
            for n in 0..HIDDEN {
                gradient[OUTPUT + n] += error * after.0[n];
                back[n] += error * model.0[OUTPUT + n];
            }
        }
        back = step_back(model, text[at], &states[at], &steps[at], &back, gradient);
    }
    loss
}

/// Gradient with regard to the state before the step.
fn step_back(
    model: &Model,
    character: u8,
    before: &State,
    step: &Step,
    back: &[f32; HIDDEN],
    gradient: &mut [f32],
) -> [f32; HIDDEN] {
    let mut sums = [0.0_f32; GATES];
    let mut earlier = [0.0_f32; HIDDEN];
    let input = INPUT + symbol(character) * GATES;
    for n in 0..HIDDEN {
        let (update, reset, candidate) = (step.update[n], step.reset[n], step.candidate[n]);
        let to_update = back[n] * (before.0[n] - candidate) * update * (1.0 - update);
        let to_candidate = back[n] * (1.0 - update) * (1.0 - candidate * candidate);
        let to_reset = to_candidate * step.recurrent[n] * reset * (1.0 - reset);
        sums[n] = to_update;
        sums[HIDDEN + n] = to_reset;
        sums[2 * HIDDEN + n] = to_candidate * reset;
        gradient[input + n] += to_update;
        gradient[input + HIDDEN + n] += to_reset;
        gradient[input + 2 * HIDDEN + n] += to_candidate;
        gradient[CANDIDATE_BIAS + n] += to_candidate * reset;
        earlier[n] = back[n] * update;
    }
    for (n, earlier) in earlier.iter_mut().enumerate() {
        let row = RECURRENT + n * GATES;
        let mut sum = 0.0;
        for (gate, error) in sums.iter().enumerate() {
            gradient[row + gate] += error * before.0[n];
            sum += error * model.0[row + gate];
        }
        *earlier += sum;
    }
    earlier
}

struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    decay: (f32, f32),
}

impl Adam {
    /// Longer gradients are shortened to this.
    const LONGEST: f32 = 1.0;

    fn new() -> Self {
        Self {
            first: vec![0.0; PARAMETERS],
            second: vec![0.0; PARAMETERS],
            decay: (1.0, 1.0),
        }
    }

    fn apply(&mut self, model: &mut Model, gradient: &mut [f32], pace: f32) {
        let length = libm::sqrtf(gradient.iter().map(|value| value * value).sum());
        if length > Self::LONGEST {
            gradient
                .iter_mut()
                .for_each(|value| *value *= Self::LONGEST / length);
        }
        self.decay = (self.decay.0 * 0.9, self.decay.1 * 0.999);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, slope), (first, second)) in model.0.iter_mut().zip(gradient).zip(moments) {
            *first = 0.9 * *first + 0.1 * *slope;
            *second = 0.999 * *second + 0.001 * *slope * *slope;
            let (mean, square) = (*first / (1.0 - self.decay.0), *second / (1.0 - self.decay.1));
            *parameter -= pace * mean / (libm::sqrtf(square) + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::{World, make};

    /// The gradient is the slope of the loss.
    #[test]
    fn gradients_are_slopes() {
        let traces = make(5, 1, World::Training, Reader::MIN_CHARACTERS);
        let model = train(&traces, 2, 9, |_, _| {});
        let trace = &traces[3];
        let mut gradient = vec![0.0; PARAMETERS];
        learn(&model, trace, &mut gradient);
        let mut checked = 0;
        for at in (0..PARAMETERS).filter(|at| gradient[*at].abs() > 0.002) {
            let loss = |by: f32| {
                let mut moved = model.clone();
                moved.0[at] += by;
                learn(&moved, trace, &mut vec![0.0; PARAMETERS])
            };
            let slope = (loss(0.01) - loss(-0.01)) / 0.02;
            assert!(
                (slope - gradient[at]).abs() < 0.002 + 0.05 * slope.abs(),
                "{at}: {slope} {}",
                gradient[at]
            );
            checked += 1;
        }
        assert!(checked > 20, "{checked}");
    }

    #[test]
    fn training_is_the_same_each_time_and_learns() {
        let traces = make(6, 8, World::Training, Reader::MIN_CHARACTERS);
        let mut losses = Vec::new();
        let first = train(&traces, 6, 1, |_, loss| losses.push(loss));
        assert_eq!(first.write(), train(&traces, 6, 1, |_, _| {}).write());
        assert!(losses[5] < losses[0], "{losses:?}");
    }
}
