//! Why the kernel programs cannot be used.

use aya::EbpfError;
use aya::programs::ProgramError;
use thiserror::Error;

/// Why the kernel programs cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{name} must be a power of two between {least} and {most}, not {value}")]
    Size {
        name: &'static str,
        value: u32,
        least: u32,
        most: u32,
    },
    #[error("failed to read how many CPUs there are from {0}")]
    Cpus(&'static str, #[source] std::io::Error),
    #[error("the machine has {0} CPUs; at most 65,535 are supported")]
    TooManyCpus(usize),
    #[error("failed to get random numbers for the flow hash")]
    Random,
    /// Also where the object has other layouts than this program: its symbol then says another version.
    #[error(
        "failed to load the kernel programs (they need Linux 5.18, CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)"
    )]
    Object(#[source] Box<EbpfError>),
    #[error("the object has no {kind} `{name}`; rebuild it with `cargo xtask ebpf`")]
    Missing { kind: &'static str, name: &'static str },
    #[error("the kernel refused program `{name}`")]
    Verifier {
        name: &'static str,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("failed to map the kernel's tables")]
    Map(#[source] std::io::Error),
    #[error("failed to open the log of the kernel programs")]
    Log(#[source] Box<aya_log::Error>),
    #[error("failed to open map `{name}`")]
    OpenMap {
        name: &'static str,
        #[source]
        source: Box<aya::maps::MapError>,
    },
}
