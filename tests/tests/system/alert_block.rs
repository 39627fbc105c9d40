//! From a scan to a dropped packet, with the daemons: traffic makes evidence, evidence an alert, the collector sends the
//! lease, the kernel drops; a dry run counts only, the allow-list wins, and nothing outlives the collector.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lynceus_tests::frames::{Host, RST, SYN, Tcp, tcp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::program::{Running, built};
use lynceus_tests::traffic::FrameSocket;

/// The kernel tells of a closed flow within half a minute.
const PATIENCE: Duration = Duration::from_secs(120);
const SCANNER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// Scans as well, but the sensor never blocks it.
const SPARED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 201);
const SERVICE: &str = "10.77.0.2:9999";
/// Seconds that a block lives without the collector's word.
const LEASE: u64 = 3;

struct Scene {
    pair: Pair,
    folder: tempfile::TempDir,
    service: UdpSocket,
}

impl Scene {
    fn new(hook: &str) -> Result<Self> {
        let pair = Pair::new(VethOptions::default())?.with_addresses()?;
        for address in [SCANNER, SPARED] {
            pair.sender
                .ip(&format!("address add {address}/32 dev {}", Pair::TX))?;
        }
        pair.receiver
            .ip(&format!("route add 198.51.100.0/24 dev {}", Pair::RX))?;
        let service = pair.receiver.run(|| UdpSocket::bind(SERVICE))?;
        service.set_nonblocking(true)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().display();
        let text = format!(
            "state_dir = \"{path}/sensor\"\n[capture]\ninterfaces = [\"{}\"]\nhook = \"{hook}\"\n\
             [profiles]\nrefresh = \"1s\"\n[collector]\nurl = \"unix:{path}/c.sock\"\nbatch_delay = \"100ms\"\n\
             [status]\nlisten = \"\"\nreport = \"100ms\"\n[block]\nallow_block = true\nnever = [\"{SPARED}/32\"]\n",
            Pair::RX
        );
        std::fs::write(folder.path().join("sensor.toml"), text)?;
        Ok(Self {
            pair,
            folder,
            service,
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn collector(&self, dry_run: bool) -> Result<Running> {
        let path = self.folder.path().display();
        let text = format!(
            "listen = \"unix:{path}/c.sock\"\nhttp_listen = \"\"\n[web]\nlisten = \"\"\n\
             [store]\ndirectory = \"{path}/store\"\n\
             [block]\nenabled = true\non_alert = true\ndry_run = {dry_run}\nlease = {LEASE}\n"
        );
        std::fs::write(self.file("collector.toml"), text)?;
        let mut command = Command::new(built("lynceus-collector")?);
        command.arg("--config").arg(self.file("collector.toml"));
        Running::start(command, "listening", PATIENCE)
    }

    fn sensor(&self) -> Result<Running> {
        let mut command = self.pair.receiver.command(built("lynceus-sensor")?);
        command.arg("--config").arg(self.file("sensor.toml"));
        Running::start(command, "takes batches", PATIENCE)
    }

    /// Twenty-five ports on twelve hosts that are not there, each tried and given up: more than the default threshold
    /// of an hour.
    fn scan(&self, from: Ipv4Addr) -> Result<()> {
        let frames: Vec<Vec<u8>> = (20..32_u8)
            .flat_map(|host| (1..=25_u16).map(move |port| (host, port)))
            .flat_map(|probe| [(probe, SYN), (probe, RST)])
            .map(|((host, port), flags)| {
                let header = Tcp {
                    source_port: 40_000 + port,
                    destination_port: port,
                    flags,
                    ..Tcp::default()
                };
                tcp(
                    &Host::new(from),
                    &Host::new(Ipv4Addr::new(10, 77, 0, host)),
                    header,
                    &[],
                )
            })
            .collect();
        let sent = self
            .pair
            .sender
            .run(|| FrameSocket::open(Pair::TX)?.send_all(frames.iter().map(Vec::as_slice)))?;
        ensure!(sent.frames == 600, "{} sent", sent.frames);
        Ok(())
    }

    fn blocked(&self) -> Result<String> {
        let output = Command::new(built("lynceus")?)
            .args([
                "blocked",
                "--connect",
                &format!("unix:{}/c.sock", self.folder.path().display()),
            ])
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Packets that the kernel counted for the scanner's block.
    fn counted(&self) -> Result<u64> {
        let blocked = self.blocked()?;
        let line = blocked
            .lines()
            .find(|line| line.starts_with("198.51.100.7/32"))
            .with_context(|| blocked.clone())?;
        let rest = line
            .split_once("counted ")
            .or_else(|| line.split_once("dropped "));
        let count = rest
            .and_then(|(_, rest)| rest.split(' ').next())
            .context("no count")?;
        Ok(count.replace(',', "").parse()?)
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self)? {
            ensure!(Instant::now() < deadline, "{what}: {}", self.blocked()?);
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Sends twenty datagrams to the service and returns how many arrive.
    fn arrive(&self, from: Ipv4Addr) -> Result<u64> {
        let sent = self.pair.sender.run(|| -> std::io::Result<usize> {
            let socket = UdpSocket::bind((from, 0))?;
            (0..20).try_fold(0, |sent, _| Ok(sent + socket.send_to(b"x", SERVICE)?))
        })?;
        ensure!(sent == 20, "{sent} sent");
        std::thread::sleep(Duration::from_millis(300));
        let mut buffer = [0; 8];
        let mut arrived = 0;
        while self.service.recv(&mut buffer).is_ok() {
            arrived += 1;
        }
        Ok(arrived)
    }

    /// Both scan; waits until the collector blocks both for their alerts and the sensor has said what it makes of it.
    fn alerts(&self) -> Result<()> {
        self.scan(SCANNER)?;
        self.scan(SPARED)?;
        self.until("alerts block", |scene| {
            let blocked = scene.blocked()?;
            Ok(blocked.contains("198.51.100.7/32")
                && blocked.contains("by alert")
                && blocked.contains("in block.never of the sensor"))
        })
    }

    /// What is sent either arrives or is counted as dropped, and all of it is.
    fn assert_drops(&self) -> Result<()> {
        self.until("packets are dropped", |scene| Ok(scene.arrive(SCANNER)? == 0))?;
        std::thread::sleep(Duration::from_millis(1500));
        let before = self.counted()?;
        let arrived = self.arrive(SCANNER)?;
        self.until("what was dropped is counted", |scene| {
            Ok(scene.counted()? == before + 20 - arrived)
        })?;
        ensure!(arrived == 0, "{arrived} arrived");
        ensure!(self.arrive(SPARED)? == 20, "the allow-list wins");
        Ok(())
    }
}

#[test]
fn an_alert_blocks_and_the_block_dies_with_the_collector() {
    let Some(_root) = need_root() else { return };
    side_by_side(["xdp", "tcx"], from_dry_run_to_the_end);
}

fn from_dry_run_to_the_end(hook: &str) -> Result<()> {
    let scene = Scene::new(hook)?;
    let mut collector = scene.collector(true)?;
    let _sensor = scene.sensor()?;
    ensure!(scene.arrive(SCANNER)? == 20, "before");
    scene.alerts()?;
    // A dry run counts and drops nothing.
    scene.until("the dry run counts", |scene| {
        ensure!(scene.arrive(SCANNER)? == 20, "a dry run drops nothing");
        Ok(scene.blocked()?.contains("dry run, counted") && scene.counted()? >= 20)
    })?;
    collector.kill();
    let mut collector = scene.collector(false)?;
    scene.assert_drops()?;
    // Nobody lifts the block; the lease ends on the sensor.
    collector.kill();
    std::thread::sleep(Duration::from_secs(LEASE + 1));
    ensure!(scene.arrive(SCANNER)? == 20, "the lease is over");
    Ok(())
}

/// The hooks of older kernels and drivers drop as well.
#[test]
fn an_alert_blocks_at_generic_xdp_and_clsact() {
    let Some(_root) = need_root() else { return };
    side_by_side(["xdp-generic", "clsact"], |hook| {
        let scene = Scene::new(hook)?;
        let _collector = scene.collector(false)?;
        let _sensor = scene.sensor()?;
        scene.alerts()?;
        scene.assert_drops()
    });
}

/// Each has its own namespaces and daemons, and mostly waits.
fn side_by_side(hooks: [&str; 2], scene: impl Fn(&str) -> Result<()> + Sync) {
    std::thread::scope(|scope| {
        let runs = hooks.map(|hook| {
            (
                hook,
                scope.spawn({
                    let scene = &scene;
                    move || scene(hook)
                }),
            )
        });
        for (hook, run) in runs {
            run.join().expect(hook).expect(hook);
        }
    });
}
