//! `cargo xtask bench file`: packets per CPU second from a capture file, beside the programs people use today.

pub(super) mod mix;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use clap::Args;

use self::mix::Mix;
use super::report;
use crate::shell;
use crate::test::install_packages;

/// The row of [`Mix::Strange`].
const STRANGE: &str = "lynceus analyze, nearly every connection a finding";
/// Clock ticks of `/proc/self/stat` in a second; fixed on Linux.
const TICKS: f64 = 100.0;

#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; the programs take turns in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Size of the capture in megabytes
    #[arg(long, default_value_t = 1100)]
    megabytes: u64,
    /// Do not build lynceus first
    #[arg(long)]
    no_build: bool,
}

/// A program and what it did with the file.
pub(super) struct Contender {
    name: &'static str,
    program: String,
    arguments: Vec<String>,
    cpu_seconds: Vec<f64>,
    wall_seconds: Vec<f64>,
    /// Of its file, where that is another one than the others'.
    packets: Option<u64>,
    /// Largest resident memory, in MiB.
    pub(super) memory: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    install_packages(&[
        ("tcpdump", "tcpdump"),
        ("softflowd", "softflowd"),
        ("nfdump", "nfpcapd"),
    ])?;
    let lynceus = lynceus(options.no_build)?;
    let folder = shell::root().join("target/bench");
    fs::create_dir_all(&folder)?;
    let bytes = options.megabytes * 1_000_000;
    let capture = folder.join(format!("usual-{}.pcap", options.megabytes));
    let packets = mix::ensure(&capture, Mix::Usual, bytes)?;
    let strange = folder.join(format!("strange-{}.pcap", options.megabytes));
    let of_strange = mix::ensure(&strange, Mix::Strange, bytes)?;
    let mut contenders = contenders(&lynceus, &capture, &folder)?;
    if knows_analyze(&lynceus) {
        let file = strange.to_string_lossy();
        let mut findings = contender(STRANGE, &lynceus, &["analyze", "--json", &file]);
        findings.packets = Some(of_strange);
        contenders.push(findings);
    }
    for round in 0..=options.rounds {
        for contender in &mut contenders {
            // The first round only brings the file into the page cache.
            let keep = round > 0;
            measure(contender, keep)?;
        }
    }
    print(&contenders, packets, &capture, options.rounds)
}

/// The program, as a release.
pub(super) fn lynceus(no_build: bool) -> anyhow::Result<String> {
    if !no_build {
        shell::execute(shell::command("cargo").args(["build", "--release", "--package", "lynceus-console"]))?;
    }
    let lynceus = shell::root()
        .join("target/release/lynceus")
        .to_string_lossy()
        .into_owned();
    ensure!(
        Path::new(&lynceus).is_file(),
        "{lynceus} is not there; leave out --no-build"
    );
    Ok(lynceus)
}

fn contenders(lynceus: &str, capture: &Path, folder: &Path) -> anyhow::Result<Vec<Contender>> {
    let file = capture.to_string_lossy().into_owned();
    let records = folder.join("nfpcapd");
    fs::create_dir_all(&records)?;
    let records = records.to_string_lossy().into_owned();
    let mut all = vec![
        contender("lynceus flows", lynceus, &["flows", &file]),
        contender(
            "lynceus flows --no-timeouts",
            lynceus,
            &["flows", "--no-timeouts", &file],
        ),
    ];
    if knows_analyze(lynceus) {
        all.push(contender(
            "lynceus analyze",
            lynceus,
            &["analyze", "--json", &file],
        ));
    }
    for (name, program, arguments) in [
        (
            "tcpdump -w /dev/null",
            "tcpdump",
            vec!["-r", file.as_str(), "-w", "/dev/null"],
        ),
        ("softflowd", "softflowd", vec!["-d", "-r", file.as_str()]),
        (
            "nfpcapd",
            "nfpcapd",
            vec!["-r", file.as_str(), "-w", records.as_str()],
        ),
    ] {
        if shell::has(program) {
            all.push(contender(name, program, &arguments));
        } else {
            eprintln!("not measured: {program} is not installed");
        }
    }
    Ok(all)
}

pub(super) fn contender(name: &'static str, program: &str, arguments: &[&str]) -> Contender {
    Contender {
        name,
        program: program.to_owned(),
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        cpu_seconds: Vec::new(),
        wall_seconds: Vec::new(),
        packets: None,
        memory: 0,
    }
}

fn knows_analyze(lynceus: &str) -> bool {
    let help = Command::new(lynceus).args(["analyze", "--help"]).output();
    help.is_ok_and(|output| output.status.success())
}

pub(super) fn measure(contender: &mut Contender, keep: bool) -> anyhow::Result<()> {
    let before = children_cpu()?;
    let start = std::time::Instant::now();
    let mut child = Command::new(&contender.program)
        .args(&contender.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {}", contender.program))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        contender.memory = contender.memory.max(peak_memory(child.id()));
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    ensure!(status.success(), "{} failed: {status}", contender.name);
    if keep {
        contender.wall_seconds.push(start.elapsed().as_secs_f64());
        contender.cpu_seconds.push(children_cpu()? - before);
    }
    Ok(())
}

/// CPU seconds, user and system, of all children that ended.
fn children_cpu() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the fields behind it are numbers. cutime and cstime are fields 16, 17.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat")?;
    let ticks: Vec<f64> = fields
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|text| text.parse().ok())
        .collect();
    ensure!(ticks.len() == 2, "/proc/self/stat has another form");
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// MiB that a running process had resident at most.
fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn print(contenders: &[Contender], packets: u64, capture: &Path, rounds: usize) -> anyhow::Result<()> {
    let bytes = fs::metadata(capture)?.len();
    println!(
        "{}; {packets} packets, {} MB, median of {rounds} rounds in turns",
        report::machine(),
        bytes / 1_000_000
    );
    println!();
    println!("| program | CPU s | M packets per CPU s | times nfpcapd | wall s | peak MiB |");
    println!("|---|---:|---:|---:|---:|---:|");
    let reference = contenders
        .iter()
        .find(|contender| contender.name == "nfpcapd")
        .map(|contender| median(&contender.cpu_seconds));
    for contender in contenders {
        let cpu = median(&contender.cpu_seconds);
        let ratio = reference.map_or_else(|| "–".to_owned(), |reference| format!("{:.2}", reference / cpu));
        println!(
            "| {} | {cpu:.2} | {:.2} | {ratio} | {:.2} | {} |",
            contender.name,
            contender.packets.unwrap_or(packets) as f64 / cpu / 1e6,
            median(&contender.wall_seconds),
            contender.memory
        );
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
