//! The daemon as its operator meets it: `/metrics`, `/healthz`, SIGTERM.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A child that does not outlive its test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn it_shows_what_it_does_and_ends_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let path = directory.path().display();
    // Nobody listens at the collector's socket: that must hold up neither the pages nor the end.
    let config = format!(
        "state_dir = \"{path}/state\"\n[capture]\nfiles = [\"-\"]\n[collector]\nurl = \"unix:{path}/nobody.sock\"\n\
         drain_timeout = \"1s\"\n[status]\nlisten = \"{address}\"\nreport = \"100ms\"\n"
    );
    let file = directory.path().join("sensor.toml");
    std::fs::write(&file, config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_lynceus-sensor"))
        .arg("--config")
        .arg(&file)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut daemon = Daemon(child);
    let input = daemon.0.stdin.take().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let feeder = thread::spawn(move || feed(input, &stopping));

    let health = until(|| get(address, "/healthz"));
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(health.ends_with("ok; collector: away\n"), "{health}");
    // Not all at the end of the pipe: the numbers move while packets trickle in.
    let metrics = until(|| {
        get(address, "/metrics")
            .filter(|page| value(page, "packets_seen_total{").is_some_and(|seen| seen >= 20))
    });
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    let all = value(&metrics, "packets_seen_total{").unwrap();
    // Flows of a pipe stay open for long: until then their packets are resident.
    let recorded = value(&metrics, "packets_recorded_total{").unwrap();
    assert_eq!(value(&metrics, "packets_resident{"), Some(all - recorded));
    assert_eq!(value(&metrics, "export_batches_acked_total "), Some(0));
    let missing = get(address, "/other").unwrap();
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");

    terminate(&daemon.0);
    let begun = Instant::now();
    let status = until(|| daemon.0.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    stop.store(true, Ordering::Relaxed);
    feeder.join().unwrap();
    let mut log = String::new();
    daemon.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(log.contains("told to end"), "{log}");
    assert!(!log.contains('\x1b'), "colours in a file: {log}");
    // The flows that were open went into a batch, which waits for the collector.
    assert!(
        log.contains("batches that wait are in the spool batches=1"),
        "{log}"
    );
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

fn until<T>(mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The whole answer; `None` while nobody listens.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    Some(answer)
}

/// Number of the first sample whose line begins so.
fn value(page: &str, name: &str) -> Option<u64> {
    let name = format!("lynceus_sensor_{name}");
    let line = page.lines().find(|line| line.starts_with(&name))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// A capture of one packet every 10 ms, each a flow of its own.
fn feed(mut input: ChildStdin, stop: &AtomicBool) {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    let mut number = 0_u16;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        for word in [1_700_000_000, u32::from(number), 43, 43] {
            bytes.extend_from_slice(&u32::to_le_bytes(word));
        }
        bytes.extend_from_slice(&frame(number));
        match input.write_all(&bytes) {
            Ok(()) => bytes.clear(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return,
            Err(error) => panic!("feed the sensor: {error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ethernet, IPv4, UDP, one byte.
fn frame(port: u16) -> [u8; 43] {
    let mut frame = [0; 43];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14..24].copy_from_slice(&[0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[34..36].copy_from_slice(&port.to_be_bytes());
    frame[36..40].copy_from_slice(&[0, 9, 0, 9]);
    frame
}

#[test]
fn what_went_wrong_is_one_line() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lynceus-sensor"))
        .args(["--config", "/nonexistent/x.toml"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("lynceus-sensor: ") && said.contains("/nonexistent/x.toml"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
