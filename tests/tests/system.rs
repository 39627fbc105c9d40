//! System tests on the real kernel and the built programs. One binary, so that root tests can take turns.
//!
//! Without root they print `skipped: needs root`; `cargo xtask test` runs them with it.

mod system {
    mod accounting;
    mod alert_block;
    mod apps_parity;
    mod delivery;
    mod demo;
    mod detections;
    mod evidence_live;
    mod exactly_once;
    mod file_truth;
    mod flow_schema;
    mod harness;
    mod hooks;
    mod hostile_files;
    mod kernel_block;
    mod kernel_prog;
    mod latency;
    mod live;
    mod offload;
    mod probes;
    mod replay;
    mod routes;
}
