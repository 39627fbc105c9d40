//! Other outlier scores, for comparison only. Each is fitted to rows of numbers and scores others; higher is odder.

/// Empirical distributions of each column, as ECOD (Li et al. 2022) and COPOD (Li et al. 2020) use them.
pub(crate) struct Tails {
    /// Sorted.
    columns: Vec<Vec<f64>>,
    /// Sign of the skewness.
    skewed: Vec<f64>,
}

impl Tails {
    pub(crate) fn fit<'a>(rows: impl Iterator<Item = &'a [f64]> + Clone) -> Self {
        let width = rows.clone().next().map_or(0, <[f64]>::len);
        let mut columns = vec![Vec::new(); width];
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(*value);
            }
        }
        let skewed = columns.iter().map(|column| skewness(column)).collect();
        for column in &mut columns {
            column.sort_by(f64::total_cmp);
        }
        Self { columns, skewed }
    }

    /// −ln of the left tail, of the right one, and of the one to which the column is skewed (both where it is not), for
    /// each column.
    fn parts(&self, row: &[f64]) -> impl Iterator<Item = (f64, f64, f64)> {
        let columns = self.columns.iter().zip(&self.skewed).zip(row);
        columns.map(|((column, skewed), value)| {
            let all = column.len() as f64 + 1.0;
            let left = column.partition_point(|known| known <= value) as f64 + 1.0;
            let right = (column.len() - column.partition_point(|known| known < value)) as f64 + 1.0;
            let (left, right) = (-(left / all).min(1.0).ln(), -(right / all).min(1.0).ln());
            let chosen = if *skewed < 0.0 {
                left
            } else if *skewed > 0.0 {
                right
            } else {
                left + right
            };
            (left, right, chosen)
        })
    }

    /// The aggregated form of the paper: the largest of the sums over left, right and chosen tails.
    pub(crate) fn ecod(&self, row: &[f64]) -> f64 {
        let sums = self.parts(row).fold((0.0, 0.0, 0.0), |sum, part| {
            (sum.0 + part.0, sum.1 + part.1, sum.2 + part.2)
        });
        sums.0.max(sums.1).max(sums.2)
    }

    pub(crate) fn ecod_parts(&self, row: &[f64]) -> Vec<f64> {
        self.parts(row)
            .map(|(left, right, chosen)| left.max(right).max(chosen))
            .collect()
    }

    /// As PyOD has it: for each column the larger of the chosen tail and the mean of both.
    pub(crate) fn copod_parts(&self, row: &[f64]) -> Vec<f64> {
        self.parts(row)
            .map(|(left, right, chosen)| chosen.max(f64::midpoint(left, right)))
            .collect()
    }

    pub(crate) fn copod(&self, row: &[f64]) -> f64 {
        self.copod_parts(row).iter().sum()
    }
}

fn skewness(values: &[f64]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let third: f64 = values.iter().map(|value| (value - mean).powi(3)).sum();
    if third == 0.0 { 0.0 } else { third.signum() }
}

/// Isolation forest (Liu, Ting, Zhou 2008): 100 trees of 256 rows.
pub(crate) struct Forest {
    trees: Vec<Vec<Node>>,
    /// Mean depth of a row in a tree of so many.
    usual: f64,
}

enum Node {
    Split {
        column: usize,
        at: f64,
        below: usize,
        above: usize,
    },
    Leaf(usize),
}

impl Forest {
    const TREES: usize = 100;
    const ROWS: usize = 256;
    const DEPTH: usize = 8;

    pub(crate) fn fit(rows: &[&[f64]], seed: u64) -> Self {
        let mut random = Random(seed);
        let size = rows.len().min(Self::ROWS);
        let trees = (0..Self::TREES)
            .map(|_| {
                let mut order: Vec<usize> = (0..rows.len()).collect();
                for place in 0..size {
                    let other = place + random.below(order.len() - place);
                    order.swap(place, other);
                }
                let mut tree = Vec::new();
                grow(&mut tree, rows, &mut order[..size], Self::DEPTH, &mut random);
                tree
            })
            .collect();
        Self {
            trees,
            usual: depth_of(size),
        }
    }

    pub(crate) fn score(&self, row: &[f64]) -> f64 {
        let depths: f64 = self.trees.iter().map(|tree| depth(tree, row)).sum();
        (-(depths / self.trees.len() as f64) / self.usual).exp2()
    }
}

fn grow(
    tree: &mut Vec<Node>,
    rows: &[&[f64]],
    own: &mut [usize],
    depth: usize,
    random: &mut Random,
) -> usize {
    let place = tree.len();
    tree.push(Node::Leaf(own.len()));
    if depth == 0 || own.len() < 2 {
        return place;
    }
    let range = |column: usize| {
        own.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |range, row| {
            let value = rows[*row][column];
            (range.0.min(value), range.1.max(value))
        })
    };
    let width = rows[own[0]].len();
    let differing: Vec<usize> = (0..width)
        .filter(|column| {
            let (low, high) = range(*column);
            low < high
        })
        .collect();
    if differing.is_empty() {
        return place;
    }
    let column = differing[random.below(differing.len())];
    let (low, high) = range(column);
    let at = low + (high - low) * random.unit();
    own.sort_unstable_by_key(|row| (rows[*row][column] >= at, *row));
    let middle = own.partition_point(|row| rows[*row][column] < at);
    let (left, right) = own.split_at_mut(middle);
    let below = grow(tree, rows, left, depth - 1, random);
    let above = grow(tree, rows, right, depth - 1, random);
    tree[place] = Node::Split {
        column,
        at,
        below,
        above,
    };
    place
}

fn depth(tree: &[Node], row: &[f64]) -> f64 {
    let (mut place, mut depth) = (0, 0.0);
    loop {
        match &tree[place] {
            Node::Leaf(size) => return depth + depth_of(*size),
            Node::Split {
                column,
                at,
                below,
                above,
            } => {
                place = if row[*column] < *at { *below } else { *above };
                depth += 1.0;
            }
        }
    }
}

/// Mean depth at which a search among so many ends without success.
fn depth_of(count: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match count {
        0 | 1 => 0.0,
        2 => 1.0,
        count => {
            let n = count as f64;
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    const fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Area under the ROC curve, ties counted half; `None` unless there are both kinds.
pub(crate) fn auc(scores: &[(f64, bool)]) -> Option<f64> {
    let mut sorted: Vec<&(f64, bool)> = scores.iter().collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let odd = scores.iter().filter(|score| score.1).count() as f64;
    let usual = scores.len() as f64 - odd;
    if odd == 0.0 || usual == 0.0 {
        return None;
    }
    let (mut below, mut sum) = (0.0, 0.0);
    for equal in sorted.chunk_by(|a, b| a.0 == b.0) {
        let odd_here = equal.iter().filter(|score| score.1).count() as f64;
        let usual_here = equal.len() as f64 - odd_here;
        sum += odd_here * (below + usual_here / 2.0);
        below += usual_here;
    }
    Some(sum / (odd * usual))
}

/// Share of the planted among the highest scores, as many as are planted.
pub(crate) fn precision(scores: &[(f64, bool)]) -> f64 {
    let odd = scores.iter().filter(|score| score.1).count();
    let mut sorted: Vec<&(f64, bool)> = scores.iter().collect();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let found = sorted.iter().take(odd).filter(|score| score.1).count();
    found as f64 / odd.max(1) as f64
}

/// Places of the two largest numbers.
pub(crate) fn top_two(parts: &[f64]) -> [usize; 2] {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].total_cmp(&parts[*a]).then(a.cmp(b)));
    [order[0], order[1]]
}
