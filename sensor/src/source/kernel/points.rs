//! Which observation point's payload heads are read.

use rustc_hash::FxHashMap;
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, Point, Side};

/// Sides of flows that are remembered: twice this many at most (10 MiB). One that was forgotten may have a head read
/// twice; the decoders drop TCP bytes that they know.
const CAPACITY: usize = 1 << 16;

/// The point that sent up the first head of each side of a flow. A packet that passes several points has a head at each
/// of them, and would be decoded as often.
#[derive(Debug, Default)]
pub(super) struct FirstPoints {
    young: FxHashMap<(FlowKey, Side), Point>,
    /// The generation before; dropped as a whole.
    old: FxHashMap<(FlowKey, Side), Point>,
}

impl FirstPoints {
    /// The head comes from the point of this side's first head.
    pub(super) fn is_first(&mut self, head: &Head<'_>) -> bool {
        let side = (head.key, head.sender);
        if let Some(point) = self.young.get(&side) {
            return *point == head.point;
        }
        if self.young.len() == CAPACITY {
            self.old = std::mem::take(&mut self.young);
        }
        let point = self.old.remove(&side).unwrap_or(head.point);
        self.young.insert(side, point);
        point == head.point
    }
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::flow::HookDirection;

    use super::*;

    fn head(vni: u32, sender: Side, ifindex: u32) -> Head<'static> {
        Head {
            key: FlowKey {
                vni,
                ..FlowKey::default()
            },
            point: Point {
                ifindex,
                direction: HookDirection::Ingress,
            },
            sender,
            time: 0,
            tcp_seq: 0,
            tcp_flags: 0,
            payload_len: 0,
            bytes: &[],
        }
    }

    #[test]
    fn the_first_point_of_each_side_is_read() {
        let mut points = FirstPoints::default();
        assert!(points.is_first(&head(1, Side::Low, 5)));
        assert!(!points.is_first(&head(1, Side::Low, 6)));
        assert!(points.is_first(&head(1, Side::Low, 5)));
        assert!(points.is_first(&head(1, Side::High, 6)));
    }

    #[test]
    fn a_side_in_use_outlives_a_generation_and_memory_is_bounded() {
        let mut points = FirstPoints::default();
        assert!(points.is_first(&head(u32::MAX, Side::Low, 5)));
        for vni in 0..3 * CAPACITY as u32 {
            assert!(points.is_first(&head(vni, Side::Low, 6)));
            assert!(!points.is_first(&head(u32::MAX, Side::Low, 6)));
        }
        assert!(points.young.len() + points.old.len() <= 2 * CAPACITY);
    }
}
