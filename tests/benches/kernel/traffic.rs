//! Frames, and the order in which flows come.

use lynceus_tests::mutator::TABLE;

/// TCP flags of data: PSH and ACK.
pub(super) const DATA: u8 = 0x18;
pub(super) const SYN: u8 = 0x02;

/// TCP over IPv4 over Ethernet.
pub(super) fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 1, 0x40, 0, 61, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7]);
    frame.extend([
        0x9c, 0x40, 1, 0xbb, 0, 0, 1, 0, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0,
    ]);
    frame.extend(payload);
    frame
}

/// Flows `0..flows` in an order without pattern, again and again.
pub(super) fn permuted(flows: usize) -> Vec<u32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut order: Vec<u32> = (0..flows as u32).collect();
    for at in (1..flows).rev() {
        order.swap(at, random.below(at + 1));
    }
    order.into_iter().cycle().take(TABLE).collect()
}

/// Flow of rank `r` among a million with a share of 1 / r.
pub(super) fn zipf() -> Vec<u32> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=TABLE)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    (0..TABLE)
        .map(|_| {
            let point = random.next() as f64 / u64::MAX as f64 * sum;
            sums.partition_point(|sum| *sum < point).min(TABLE - 1) as u32
        })
        .collect()
}

/// xorshift64*: the same packets in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
