//! Fewest privileges: what is not needed is given up before anything is opened.
//!
//! Capabilities belong to threads. The main thread keeps only those for the kernel programs, and the threads that it
//! starts inherit no more; threads that talk to the network give up the rest as they start.

use anyhow::Context;
use caps::{CapSet, Capability, CapsHashSet};

/// What loading, attaching and reading the kernel programs needs (Linux 5.8): `CAP_BPF`, `CAP_PERFMON` and
/// `CAP_NET_ADMIN`. Interfaces come back later, so the capture threads keep them.
pub const FOR_CAPTURE: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
];

/// Gives up, in this thread and those that it starts, every capability but `kept`, and the way to gain any.
///
/// # Errors
/// The kernel refuses.
pub fn keep_only(kept: &[Capability]) -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
    let kept: CapsHashSet = kept.iter().copied().collect();
    caps::clear(None, CapSet::Ambient).context("ambient capabilities")?;
    let permitted = caps::read(None, CapSet::Permitted).context("permitted capabilities")?;
    let left: CapsHashSet = permitted.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Effective, &left).context("effective capabilities")?;
    caps::set(None, CapSet::Permitted, &left).context("permitted capabilities")?;
    caps::clear(None, CapSet::Inheritable).context("inheritable capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own, because nothing gives capabilities back.
    #[test]
    fn a_thread_ends_up_with_what_is_kept() {
        std::thread::spawn(|| {
            let before = caps::read(None, CapSet::Permitted).unwrap();
            keep_only(&[Capability::CAP_NET_ADMIN]).unwrap();
            let after = caps::read(None, CapSet::Effective).unwrap();
            let expected: CapsHashSet = before
                .into_iter()
                .filter(|cap| *cap == Capability::CAP_NET_ADMIN)
                .collect();
            assert_eq!(after, expected);
            assert!(rustix::thread::no_new_privs().unwrap());
            keep_only(&[]).unwrap();
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
            assert!(
                keep_only(&FOR_CAPTURE).is_ok(),
                "what is gone stays gone without an error"
            );
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        })
        .join()
        .unwrap();
    }
}
