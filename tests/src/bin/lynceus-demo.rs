//! The demo of the README: the scenario's frames go through a real veth pair into the real kernel program, and
//! `lynceus live` shows what it made of them. Without root the same frames go through a file.
#![allow(clippy::print_stdout, reason = "a command line program")]
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program;
use lynceus_tests::scenario::{self, TimedFrame};
use lynceus_tests::traffic::FrameSocket;

/// What `lynceus live` writes to stderr once its hooks are attached.
const READY: &str = "capturing on";
/// Time for the last window sweep and for profiles to reach the collector before the program is asked to stop.
const SETTLE: Duration = Duration::from_secs(2);
/// Attaching takes a fraction of a second, on a machine that is busy with builds much more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends made-up traffic through lynceus and shows profiles, evidence and alerts.
#[derive(Parser)]
struct Options {
    /// New folder for what is found, in place of `demo` beside the program
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let frames = scenario::demo();
    let lynceus = program::built("lynceus")?;
    let kept = kept(&lynceus, options.out)?;
    let status = match Pair::new(VethOptions::default()) {
        Ok(pair) => live(&lynceus, &pair, &frames, &kept)?,
        Err(reason) => {
            println!("No network namespaces here ({reason:#}); the same frames go through a file instead.\n");
            analyze(&lynceus, &frames, &kept)?
        }
    };
    ensure!(status.success(), "lynceus ended with {status}");
    println!(
        "\nLook at it again, with what is known of every address, in the terminal:\n  {program} console --from \
         {found}\nor in the browser:\n  {program} web --from {found}",
        program = lynceus.display(),
        found = kept.display()
    );
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        look(&lynceus, &kept)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens what was found, where somebody sits at the terminal, until nothing more is wanted.
fn look(lynceus: &Path, kept: &Path) -> Result<()> {
    loop {
        print!("\nEnter: open it in the terminal    b Enter: in the browser    q Enter: quit > ");
        std::io::stdout().flush().context("write to the terminal")?;
        let mut line = String::new();
        if std::io::stdin()
            .read_line(&mut line)
            .context("read the terminal")?
            == 0
        {
            return Ok(());
        }
        let view: &[&str] = match line.trim() {
            "" => &["console"],
            // The usual port may belong to a collector.
            "b" => &["web", "--listen", "127.0.0.1:0"],
            "q" => return Ok(()),
            _ => continue,
        };
        let mut command = Command::new(lynceus);
        command.args(view).arg("--from").arg(kept);
        program::in_front(&mut command).with_context(|| format!("start lynceus {}", view[0]))?;
    }
}

/// An empty place for what the demo finds. Beside the program, where nobody asked for another, that of an earlier demo
/// goes.
fn kept(lynceus: &Path, asked: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(folder) = asked {
        return Ok(folder);
    }
    let folder = lynceus
        .parent()
        .context("the program is in a folder")?
        .join("demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(folder)
}

/// Sends the frames at their pace into one end of a veth pair; `lynceus live` listens on the other.
fn live(lynceus: &Path, pair: &Pair, frames: &[TimedFrame], kept: &Path) -> Result<std::process::ExitStatus> {
    let mut command = pair.receiver.command(lynceus);
    command
        .args(["live", "--no-console", "--hook", "xdp", "-i", Pair::RX, "--store"])
        .arg(kept);
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("start lynceus live")?;
    let stderr = child.stderr.take().context("stderr was asked for")?;
    let (tell, told) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            println!("{line}");
            if line.contains(READY) {
                // Nobody waits any more after the first time.
                let _ = tell.send(());
            }
        }
    });
    let ready = told.recv_timeout(PATIENCE);
    let sent = match ready {
        Ok(()) => pair.sender.run(|| send(frames)),
        Err(_) => Err(anyhow::anyhow!("lynceus live was not ready within {PATIENCE:?}")),
    };
    thread::sleep(SETTLE);
    interrupt(child.id())?;
    let status = child.wait().context("wait for lynceus live")?;
    // The reader only prints; a panic of it was printed too.
    let _ = reader.join();
    println!("\nThe sender counted {} frames; compare `seen` above.", sent?);
    Ok(status)
}

/// Returns the number of frames sent.
fn send(frames: &[TimedFrame]) -> Result<u64> {
    let socket = FrameSocket::open(Pair::TX)?;
    let start = Instant::now();
    let mut count = 0;
    for frame in frames {
        thread::sleep((start + frame.at).saturating_duration_since(Instant::now()));
        count += socket.send_all([frame.bytes.as_slice()])?.frames;
    }
    Ok(count)
}

fn analyze(lynceus: &Path, frames: &[TimedFrame], kept: &Path) -> Result<std::process::ExitStatus> {
    let folder = tempfile::tempdir().context("folder for the demo's capture")?;
    let path = folder.path().join("demo.pcap");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock stands before 1970")?;
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    scenario::write_pcap(frames, now, BufWriter::new(file)).context("write the demo's capture")?;
    Command::new(lynceus)
        .arg("analyze")
        .arg(&path)
        .arg("--out")
        .arg(kept)
        .status()
        .context("start lynceus analyze")
}

fn interrupt(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-INT", &pid.to_string()])
        .status()
        .context("start kill")?;
    ensure!(
        status.success(),
        "lynceus live was gone before it was asked to stop"
    );
    Ok(())
}
