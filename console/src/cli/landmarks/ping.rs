//! `lynceus landmarks ping`: round-trip times by ICMP, as lines for `lynceus landmarks locate`.

use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::{ArgGroup, Args};
use lynceus_enrich::latency::landmark::{self, Landmark};
use lynceus_enrich::provider;
use lynceus_enrich::wire::{ProbeLog, Sender, Wire};

use super::super::{Outcome, say};

/// Measures round-trip times from this machine (sends packets: needs --active)
///
/// With --as this machine is a landmark of that name, and each line is its time to the target. Without, its place need
/// not be known: the landmarks of the file are pinged too, and a line has the sum of both times, which bounds the
/// distance from landmark to target just as well, if less closely.
#[derive(Args)]
#[command(group(ArgGroup::new("origin").args(["own", "landmarks"]).required(true).multiple(true)))]
#[command(after_help = "Examples:
  lynceus landmarks ping 192.0.2.7 --active --as sofia >> rtt.csv          from a machine in Sofia
  lynceus landmarks ping 192.0.2.7 --active --landmarks landmarks.csv      from anywhere
  lynceus landmarks locate 192.0.2.7 --landmarks landmarks.csv --measurements rtt.csv")]
pub(super) struct Options {
    /// Address to measure
    #[arg(value_name = "IP")]
    target: IpAddr,
    /// Send packets: the target, the landmarks and the networks on the way see this machine's address
    #[arg(long)]
    active: bool,
    /// Name of this machine among the landmarks
    #[arg(long = "as", value_name = "ID")]
    own: Option<String>,
    /// Landmark file; those with an address of the target's kind are pinged too
    #[arg(long, value_name = "FILE")]
    landmarks: Option<PathBuf>,
    /// Echoes to each; the smallest time counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    count: u16,
    /// Longest wait for an answer, in ms; from 200 ms on a time says nothing about the place
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    timeout: u64,
    /// Most landmarks to ping
    #[arg(long, value_name = "N", default_value_t = 256)]
    most: usize,
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let landmarks = options
        .landmarks
        .as_deref()
        .map(read)
        .transpose()?
        .unwrap_or_default();
    let pinged: Vec<(&Landmark, IpAddr)> = landmarks
        .iter()
        .filter_map(|one| Some((one, one.address_like(options.target)?)))
        .filter(|(_, address)| *address != options.target)
        .take(options.most)
        .collect();
    let who = match pinged.len() {
        0 => format!("{}, and the networks on the way", options.target),
        more => format!(
            "{}, {more} landmarks, and the networks on the way",
            options.target
        ),
    };
    anyhow::ensure!(
        options.active,
        "--active is missing: {} echoes each would go to {who}, which would see this machine's address",
        options.count
    );
    say(&format!(
        "{} echoes each to {who}: they see this machine's address",
        options.count
    ));
    let wire = Wire::new(&provider::Settings::default(), probe_log(), None);
    let smallest = |address: IpAddr| smallest(&wire, address, options);
    let Some(to_target) = smallest(options.target)? else {
        say(&format!("{} does not answer", options.target));
        return Ok(Outcome::Damaged);
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "landmark,target,rtt_ms")?;
    if let Some(own) = &options.own {
        line(&mut out, own, options.target, to_target)?;
    }
    let mut silent = 0;
    for (landmark, address) in pinged {
        match smallest(address) {
            Ok(Some(time)) => match &options.own {
                // A landmark that measures a landmark calibrates itself.
                Some(own) => line(&mut out, own, address, time)?,
                None => line(&mut out, &landmark.id, options.target, time + to_target)?,
            },
            Ok(None) => silent += 1,
            Err(error) => {
                silent += 1;
                say(&format!("{}: {error:#}", landmark.id));
            }
        }
        out.flush()?;
    }
    if silent > 0 {
        say(&format!("{silent} landmarks did not answer"));
    }
    Ok(Outcome::Done)
}

/// A landmark file.
///
/// # Errors
/// It cannot be read; the error names file, line and field.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Landmark>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    landmark::read(std::io::BufReader::new(file)).with_context(|| path.display().to_string())
}

/// Rounded up to a microsecond: a time must never get smaller.
fn line(out: &mut impl Write, from: &str, target: IpAddr, time: Duration) -> anyhow::Result<()> {
    let micros = time.as_nanos().div_ceil(1000);
    let mut row = csv::Writer::from_writer(Vec::new());
    let milliseconds = format!("{}.{:03}", micros / 1000, micros % 1000);
    row.write_record([from, &target.to_string(), &milliseconds])?;
    out.write_all(&row.into_inner().map_err(|error| error.into_error())?)?;
    Ok(())
}

/// The smallest time of some echoes, noted in the probe log first; `None`: no answer. Never too small: the clock starts
/// before a packet is handed to the kernel.
fn smallest(wire: &Wire, address: IpAddr, options: &Options) -> anyhow::Result<Option<Duration>> {
    let info = provider::info("ping").context("there is a provider named ping")?;
    let what = format!("{} ICMP echoes", options.count);
    wire.note(Sender::of(info, address), &address.to_string(), &what)?;
    let echoes = provider::echo(address, options.count, Duration::from_millis(options.timeout))?;
    Ok(echoes.min())
}

/// Where it is told what left this machine.
fn probe_log() -> ProbeLog {
    let set = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let state = state.unwrap_or_else(|| "/var/lib".into());
    ProbeLog::at(state.join("lynceus/probes.jsonl"))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::Options;

    #[test]
    fn a_name_of_this_machine_or_a_landmark_file_is_needed() {
        let command = || Options::augment_args(Command::new("ping"));
        let refused = command().try_get_matches_from(["ping", "192.0.2.1"]);
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("--as") && said.contains("--landmarks"), "{said}");
        for given in [
            &["--as", "sofia"][..],
            &["--landmarks", "x.csv"],
            &["--as", "a", "--landmarks", "x"],
        ] {
            let arguments = ["ping", "192.0.2.1"].iter().chain(given);
            assert!(command().try_get_matches_from(arguments).is_ok(), "{given:?}");
        }
    }
}
