//! `cargo xtask bench …`: one file a benchmark. Each prints a markdown table that `docs/benchmarks.md` quotes.

use clap::Subcommand;

mod collector;
mod console;
mod detect;
mod file;
mod kernel;
mod live;
mod memory;
mod outliers;
mod page;
mod report;
mod table;

/// Benchmarks; each runs its baselines in the same run and reports ratios.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// The machine as the tables name it: cores, kernel, memory
    Machine,
    /// Batches into the embedded store and into Redis: flows and deltas a second, durable
    Collector,
    /// Nanoseconds a flow in the profiler, in windows and in each detector, at four sizes; flows a second with a store
    Detect,
    /// Terminal UI over a full store: first picture, key to picture, CPU when idle
    Console,
    /// Packets per CPU second from a capture file, beside tcpdump, softflowd and nfpcapd
    File(file::Options),
    /// Nanoseconds per packet of the kernel programs beside a hash map; reading and merging the table (root)
    Kernel,
    /// CPU of the whole agent on a veth pair beside tcpdump; packets a second under a flood (root)
    Live,
    /// Most memory of `flows` and `analyze`: a million flows open at once, and files of two sizes
    Memory(memory::Options),
    /// Outliers: learning, scores and rank errors; planted causes beside ECOD, COPOD, isolation forest; memory; dives
    Outliers,
    /// The page over a million pieces of evidence: lists at their begin and deep inside, searches
    Page,
    /// Nanoseconds to merge a kernel record or count a packet at 10 thousand, 1 million and 10 million flows
    Table,
}

pub(crate) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Collector => collector::run(),
        Command::Console => console::run(),
        Command::Detect => detect::run(),
        Command::Machine => {
            println!("{}", report::machine());
            Ok(())
        }
        Command::File(options) => file::run(&options),
        Command::Kernel => kernel::run(),
        Command::Live => live::run(),
        Command::Memory(options) => memory::run(&options),
        Command::Outliers => outliers::run(),
        Command::Page => page::run(),
        Command::Table => table::run(),
    }
}
