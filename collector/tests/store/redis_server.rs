//! A Redis of our own: unix socket and data in a directory that goes away with it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct RedisServer {
    directory: tempfile::TempDir,
    fsync: String,
    port: u16,
    process: Child,
}

impl RedisServer {
    /// `None`, said once on the screen, where there is no `redis-server`.
    pub(crate) fn start(fsync: &str) -> Option<Self> {
        if Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            println!("skipped: no redis-server");
            return None;
        }
        // Between looking for a free port and using it, somebody else may have it.
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let port = free_port();
            let process = spawn(
                &directory.path().join("redis.sock"),
                port,
                directory.path(),
                fsync,
            );
            let mut server = Self {
                directory,
                port,
                fsync: fsync.to_owned(),
                process,
            };
            if server.answers() {
                return Some(server);
            }
        }
        panic!("redis-server ends at once, five times");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    #[allow(dead_code, reason = "only some tests ask")]
    pub(crate) fn tcp_url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        redis::cmd("CONFIG")
            .arg("SET")
            .arg(name)
            .arg(value)
            .exec(&mut self.connection())
            .unwrap();
    }

    pub(crate) fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.socket(), self.port, self.directory.path(), &self.fsync);
        assert!(self.answers(), "it does not start again");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Waits for it; false: it ended.
    fn answers(&mut self) -> bool {
        let client = redis::Client::open(self.url()).unwrap();
        let begin = Instant::now();
        while self.process.try_wait().unwrap().is_none() {
            let answer = client
                .get_connection()
                .and_then(|mut link| redis::cmd("PING").exec(&mut link));
            if answer.is_ok() {
                return true;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(120),
                "redis-server does not answer"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn spawn(socket: &std::path::Path, port: u16, directory: &std::path::Path, fsync: &str) -> Child {
    Command::new("redis-server")
        .args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            fsync,
        ])
        .arg("--unixsocket")
        .arg(socket)
        .arg("--dir")
        .arg(directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
