//! What the kernel programs cost, where the kernel measures it (`sysctl kernel.bpf_stats_enabled=1`, Linux 5.8).

use super::load::Kernel;

impl Kernel {
    /// Mean nanoseconds of a run of our programs; `None` while the kernel does not measure.
    ///
    /// A run handles one buffer, which under segmentation offload stands for many packets.
    #[must_use]
    pub fn nanos_per_run(&self) -> Option<f64> {
        let infos = self
            .ebpf
            .programs()
            .filter_map(|(_, program)| program.info().ok());
        let (nanos, runs) = infos.fold((0.0, 0_u64), |(nanos, runs), info| {
            (
                nanos + info.run_time().as_secs_f64() * 1e9,
                runs + info.run_count(),
            )
        });
        (runs != 0).then(|| nanos / runs as f64)
    }
}
