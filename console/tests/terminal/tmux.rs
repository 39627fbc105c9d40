//! The terminal that a test looks at.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for a picture; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A tmux server of its own, gone with the test.
pub(crate) struct Tmux {
    name: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Tmux {
    /// `None` (and a word about it) where there is no tmux.
    pub(crate) fn start(
        width: u16,
        height: u16,
        environment: &[(&str, &str)],
        command: &str,
    ) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            println!("skipped: tmux is not installed");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let tmux = Self {
            name: format!("lynceus-test-{}-{number}", std::process::id()),
            folder: tempfile::tempdir().unwrap(),
        };
        // `-u`: whatever the locale of this process, the terminal of the test has UTF-8.
        let mut start = tmux.command(&["-u", "-f", "/dev/null", "new-session", "-d", "-s", "t"]);
        start.args(["-x", &width.to_string(), "-y", &height.to_string()]);
        start.arg("-c").arg(tmux.folder.path());
        for (key, value) in [("LC_ALL", "C.UTF-8")].iter().chain(environment) {
            start.args(["-e", &format!("{key}={value}")]);
        }
        // The shell tells how it ended, on a terminal that must be as it was.
        let output = start
            .arg(format!(
                "stty -g >.before; {command}; echo \"ended with $?\"; stty -g >.after; cmp .before .after && echo \"as it was\"; sleep 600"
            ))
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(tmux)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.name]).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().unwrap();
        assert!(
            status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).unwrap()
    }

    pub(crate) fn press(&self, key: &str) {
        self.run(&["send-keys", "-t", "t", key]);
    }

    pub(crate) fn picture(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "t"])
    }

    /// Waits until the program has ended well, and looks whether the terminal is as it was before: modes, screen, cursor,
    /// mouse.
    pub(crate) fn wait_for_the_end(&self) {
        let picture = self.wait_for(&["ended with 0", "as it was"]);
        assert!(
            !picture.contains("q quit"),
            "its screen is still there:\n{picture}"
        );
        let flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}";
        let flags = self.run(&["display-message", "-p", "-t", "t", flags]);
        assert_eq!(flags.trim(), "0 1 0", "alternate screen, cursor, mouse");
    }

    /// Waits until all of these stand on the screen.
    pub(crate) fn wait_for(&self, texts: &[&str]) -> String {
        self.wait_until(&format!("{texts:?}"), |picture| {
            texts.iter().all(|text| picture.contains(text))
        })
    }

    /// Waits until the screen is as `wanted`; `what` says how.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        loop {
            let picture = self.picture();
            if wanted(&picture) {
                return picture;
            }
            assert!(begin.elapsed() < PATIENCE, "not on the screen: {what}\n{picture}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}
