//! Outliers with the same account: "37 addresses, same reason".

use super::COUNT;
use super::score::{likeness, normalize};

/// Outliers whose surprisals point the same way.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Places of its outliers in the list, in their order.
    pub members: Vec<usize>,
    /// Mean direction of their accounts, of length 1.
    pub direction: [f32; COUNT],
}

/// Cosine from which on two accounts are the same reason.
pub const ALIKE: f64 = 0.9;
/// Groups; what fits into none of them is in none. Nobody reads more.
pub const MAX_GROUPS: usize = 256;

/// Leader clustering in one pass: each outlier joins the most alike group, or begins one. `directions` should come
/// strongest first, so that clear accounts lead. Largest groups first, equal ones by their first member.
#[must_use]
pub fn group(directions: &[[f32; COUNT]]) -> Vec<Group> {
    let mut groups: Vec<Leader> = Vec::new();
    for (place, direction) in directions.iter().enumerate() {
        if direction.iter().all(|x| *x == 0.0) {
            continue;
        }
        // Of equally alike groups the first.
        let best = groups
            .iter()
            .enumerate()
            .map(|(at, leader)| (likeness(&leader.direction, direction), at))
            .filter(|(alike, _)| *alike >= ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        match best {
            Some((_, at)) => groups[at].join(place, direction),
            None if groups.len() < MAX_GROUPS => groups.push(Leader::new(place, direction)),
            None => {}
        }
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|leader| Group {
            members: leader.members,
            direction: leader.direction,
        })
        .collect();
    groups.sort_by(|a, b| {
        b.members
            .len()
            .cmp(&a.members.len())
            .then(a.members.cmp(&b.members))
    });
    groups
}

struct Leader {
    members: Vec<usize>,
    sum: [f64; COUNT],
    direction: [f32; COUNT],
}

impl Leader {
    fn new(place: usize, direction: &[f32; COUNT]) -> Self {
        Self {
            members: vec![place],
            sum: direction.map(f64::from),
            direction: *direction,
        }
    }

    fn join(&mut self, place: usize, direction: &[f32; COUNT]) {
        self.members.push(place);
        for (sum, x) in self.sum.iter_mut().zip(direction) {
            *sum += f64::from(*x);
        }
        // The sum grows without end, its direction does not.
        let length = self.members.len() as f64;
        self.direction = self.sum.map(|x| (x / length) as f32);
        normalize(&mut self.direction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(list: &[(usize, f32)]) -> [f32; COUNT] {
        let mut direction = [0.0; COUNT];
        list.iter().for_each(|(feature, x)| direction[*feature] = *x);
        normalize(&mut direction);
        direction
    }

    #[test]
    fn one_reason_is_one_group() {
        let scan = |n: f32| direction(&[(3, 10.0 + n), (6, 9.0), (2, n / 10.0)]);
        let upload = |n: f32| direction(&[(11, 8.0), (13, 8.0 + n / 5.0)]);
        let mut all: Vec<_> = (0..37_u8).map(|n| scan(f32::from(n) / 10.0)).collect();
        all.extend((0..4_u8).map(|n| upload(f32::from(n))));
        all.push(direction(&[(20, 5.0)]));
        all.push([0.0; COUNT]);
        let groups = group(&all);
        let sizes: Vec<usize> = groups.iter().map(|group| group.members.len()).collect();
        assert_eq!(sizes, [37, 4, 1]);
        assert_eq!(groups[0].members, (0..37).collect::<Vec<_>>());
        assert!(likeness(&groups[0].direction, &scan(2.0)) > 0.99);
    }

    #[test]
    fn groups_are_bounded() {
        let all: Vec<_> = (0..2_000_u16)
            .map(|n| {
                let at = usize::from(n % 28);
                direction(&[(at, 1.0), ((at + 1 + usize::from(n / 28) % 27) % COUNT, 1.0)])
            })
            .collect();
        let groups = group(&all);
        assert!(groups.len() <= MAX_GROUPS);
        assert_eq!(group(&all), groups, "the same again");
    }
}
