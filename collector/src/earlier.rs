//! Earlier windows of a profile, as they were when a window opened.
//!
//! They are kept packed: an update hardly ever needs them, and unpacked the four of them take ten times the memory of the
//! window that looks back.

use std::sync::{Arc, OnceLock};

use lynceus_detect::Earlier;
use lynceus_model::profile::ProfileDelta;
use lynceus_proto::v1;
use prost::Message;

use crate::rows;

/// Windows, newest first.
#[derive(Default)]
pub(crate) struct Packed(Vec<Form>);

enum Form {
    /// As it stands in the table of windows.
    Row(Vec<u8>),
    /// As it travels.
    Message(Vec<u8>),
}

impl Packed {
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds an older one.
    pub(crate) fn push(&mut self, window: &ProfileDelta) {
        let message = v1::ProfileDelta::from(window).encode_to_vec();
        self.0.push(Form::Message(message));
    }

    /// Adds an older one by its row.
    pub(crate) fn push_row(&mut self, row: Vec<u8>) {
        self.0.push(Form::Row(row));
    }

    /// On the heap.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |form: &Form| match form {
            Form::Row(bytes) | Form::Message(bytes) => bytes.capacity(),
        };
        self.0.capacity() * size_of::<Form>() + self.0.iter().map(bytes).sum::<usize>()
    }

    /// A row that cannot be read is told and left out: baselines are of the others.
    fn unpack(&self) -> Vec<ProfileDelta> {
        let windows = self.0.iter().filter_map(|form| {
            let window = match form {
                Form::Row(row) => rows::read_window(row)
                    .map(|row| Arc::unwrap_or_clone(row.profile))
                    .map_err(|error| error.to_string()),
                Form::Message(message) => v1::ProfileDelta::decode(&**message)
                    .map_err(|error| error.to_string())
                    .and_then(|message| ProfileDelta::try_from(message).map_err(|error| error.to_string())),
            };
            window
                .inspect_err(|error| tracing::error!(error, "an earlier window is left out"))
                .ok()
        });
        windows.collect()
    }
}

/// Unpacks when it is asked, once.
pub(crate) struct LookBack {
    packed: Arc<Packed>,
    windows: OnceLock<Vec<ProfileDelta>>,
}

impl LookBack {
    pub(crate) const fn new(packed: Arc<Packed>) -> Self {
        Self {
            packed,
            windows: OnceLock::new(),
        }
    }
}

impl Earlier for LookBack {
    fn windows(&self) -> &[ProfileDelta] {
        self.windows.get_or_init(|| self.packed.unpack())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use lynceus_model::time::Timestamp;
    use lynceus_model::window::WindowId;

    use super::*;
    use crate::rows::WindowRow;
    use crate::store::Position;

    fn window(start: i64) -> ProfileDelta {
        let mut window = ProfileDelta::new(WindowId {
            profile: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            start: Timestamp(start),
        });
        window.totals.tcp_flows = start.unsigned_abs();
        window
    }

    #[test]
    fn both_forms_come_back_and_a_damaged_one_is_left_out() {
        let row = rows::put_window(&WindowRow {
            since: Position(1),
            applied: Position(2),
            run: 3,
            closed: true,
            evidence: 0,
            alerts: 0,
            alerted: 0.0,
            profile: window(2).into(),
        });
        let mut packed = Packed::default();
        packed.push(&window(3));
        packed.push_row(vec![255, 1, 2]);
        packed.push_row(row.value.unwrap_or_default());
        assert_eq!(packed.len(), 3);
        assert!(packed.bytes() > 3);
        let back = LookBack::new(Arc::new(packed));
        assert_eq!(back.windows(), [window(3), window(2)]);
    }
}
