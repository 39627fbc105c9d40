//! The built programs (`lynceus`, `lynceus-sensor`, `lynceus-collector`) as children that do not outlive their test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::fixtures::repository;

/// Set where `cargo test --workspace` has built the programs together with the tests, as `cargo xtask test` does. Another
/// selection of packages has other features of the dependencies, so `cargo build` would build half of them again.
const ALL_BUILT: &str = "LYNCEUS_PROGRAMS_BUILT";

/// Path of a program of this workspace, built with the profile of the test.
///
/// `cargo test` of this package alone builds only the libraries of others, so the first call for a program runs `cargo
/// build`, unless [`ALL_BUILT`] says that it is there.
///
/// # Errors
/// The build failed.
pub fn built(name: &str) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(name) {
        return Ok(path.clone());
    }
    // A test is `target/PROFILE/deps/system-…`, the demo `target/PROFILE/lynceus-demo`.
    let own = std::env::current_exe().context("path of this program")?;
    let folder = own
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .with_context(|| format!("{} is not in a target folder", own.display()))?;
    if std::env::var_os(ALL_BUILT).is_none() {
        build(name, folder.ends_with("release"))?;
    }
    let path = folder.join(name);
    ensure!(path.is_file(), "cargo built no {}", path.display());
    built.insert(name.to_owned(), path.clone());
    Ok(path)
}

fn build(name: &str, release: bool) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(repository())
        .args(["build", "--quiet", "--bin", name])
        .stdin(Stdio::null());
    if release {
        command.arg("--release");
    }
    // What cargo tells a test of its package; the build script of ring asks for them, so that a cargo that inherited
    // them would build ring, and all that stands on it, once for every package with such tests.
    for (name, _) in std::env::vars_os() {
        let name_bytes = name.as_encoded_bytes();
        if name_bytes.starts_with(b"CARGO_PKG_") || name_bytes.starts_with(b"CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let status = command.status().context("start cargo")?;
    ensure!(status.success(), "cargo build --bin {name}: {status}");
    Ok(())
}

/// A running program; killed with SIGKILL when the guard goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
    stderr: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Running {
    /// Starts a command and waits until a line of its stderr contains `ready`.
    ///
    /// # Errors
    /// It cannot be started, ended before it was ready (the error holds its stderr) or was not ready in time.
    pub fn start(mut command: Command, ready: &str, patience: Duration) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let stdout = child.stdout.take().context("stdout was asked for")?;
        let stderr = child.stderr.take().context("stderr was asked for")?;
        let (tell, told) = std::sync::mpsc::channel();
        let mark = ready.to_owned();
        let mut running = Self {
            child,
            stdout: Some(thread::spawn(move || read_all(stdout))),
            stderr: Some(thread::spawn(move || {
                let mut reader = BufReader::new(stderr);
                let mut text = Vec::new();
                loop {
                    let start = text.len();
                    if reader.read_until(b'\n', &mut text)? == 0 {
                        return Ok(text);
                    }
                    if text[start..]
                        .windows(mark.len())
                        .any(|window| window == mark.as_bytes())
                    {
                        // Nobody waits any more after the first time.
                        let _ = tell.send(());
                    }
                }
            })),
        };
        match told.recv_timeout(patience) {
            Ok(()) => Ok(running),
            Err(reason) => {
                running.kill();
                let stderr = running.stderr_text();
                bail!("not ready ({reason}): {stderr}")
            }
        }
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, e.g. `libc::SIGTERM`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("process id")?;
        // SAFETY: kill takes two integers; the child has not been waited for, so its id is still its own.
        match unsafe { libc::kill(pid, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()).context("signal the program"),
        }
    }

    /// Waits for the end and returns what the program wrote.
    ///
    /// # Errors
    /// It did not end in time; it was killed then.
    pub fn wait(mut self, patience: Duration) -> Result<Output> {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().context("wait for the program")? {
                break status;
            }
            if Instant::now() > deadline {
                self.kill();
                bail!("did not end within {patience:?}: {}", self.stderr_text());
            }
            thread::sleep(Duration::from_millis(10));
        };
        self.output(status)
    }

    /// SIGTERM, then [`Self::wait`].
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn terminate(self, patience: Duration) -> Result<Output> {
        self.signal(libc::SIGTERM)?;
        self.wait(patience)
    }

    /// SIGKILL, and waits until the kernel has buried it.
    pub fn kill(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn output(&mut self, status: ExitStatus) -> Result<Output> {
        Ok(Output {
            status,
            stdout: joined(&mut self.stdout)?,
            stderr: joined(&mut self.stderr)?,
        })
    }

    fn stderr_text(&mut self) -> String {
        joined(&mut self.stderr).map_or_else(
            |error| error.to_string(),
            |text| String::from_utf8_lossy(&text).into(),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_all(mut from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    from.read_to_end(&mut all)?;
    Ok(all)
}

fn joined(reader: &mut Option<JoinHandle<std::io::Result<Vec<u8>>>>) -> Result<Vec<u8>> {
    let reader = reader.take().context("output was read already")?;
    let bytes = reader.join().ok().context("reader of the output panicked")?;
    bytes.context("read the output")
}

/// Runs a program in front of the terminal to its end. Ctrl-C there ends the program, and not who waits for it.
///
/// # Errors
/// It cannot be started.
pub fn in_front(command: &mut Command) -> std::io::Result<ExitStatus> {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing at all; the program that is started gets the default back.
    let before = unsafe { libc::signal(libc::SIGINT, handler) };
    let status = command.status();
    // SAFETY: `before` is what stood there.
    unsafe { libc::signal(libc::SIGINT, before) };
    status
}
