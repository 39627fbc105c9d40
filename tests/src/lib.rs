//! Support of the system tests and of the demo: made-up networks and their traffic, network namespaces that clean up
//! after themselves, senders that know exactly what they sent, the shared captures, and the built programs.
//!
//! A root test starts with `let Some(_root) = need_root() else { return };` so that it says that it was skipped.

mod bpf;
pub mod fixtures;
pub mod foreign;
pub mod frames;
pub mod late;
pub mod mutator;
pub mod netns;
pub mod program;
pub mod scenario;
pub mod traffic;
pub mod truth;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Proof that the process may make network namespaces and load programs, and the turn of this test.
///
/// Root tests of one process run one at a time: they measure packet counts on two cores, and a flood beside an exact
/// replay would make the kernel drop frames in front of the hook.
#[derive(Debug)]
pub struct Root(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, ()>);

/// Waits for this test's turn; prints why the test is skipped where the process is not root.
#[must_use]
#[expect(
    clippy::print_stdout,
    reason = "the skip line is what the runner and CI look for"
)]
pub fn need_root() -> Option<Root> {
    static TURN: Mutex<()> = Mutex::new(());
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: needs root");
        return None;
    }
    // A test that panicked while it had its turn left nothing behind that the next one could see.
    Some(Root(TURN.lock().unwrap_or_else(PoisonError::into_inner)))
}
