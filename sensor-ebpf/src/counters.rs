//! Per-CPU counters of the hooks: law 1 is checked on them.
