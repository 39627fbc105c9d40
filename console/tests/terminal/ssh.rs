//! The terminal UI on a machine that is reached by SSH: OpenSSH's own client and server, the terminal between them.
//!
//! The server is started by the client for one connection and speaks through its standard input and output: no port, no
//! daemon, and nobody else can log in.

use std::path::Path;
use std::process::Command;

use super::tmux::Tmux;
use super::{analyzed, capture};

/// It wants to be called by its whole name.
const SERVER: &str = "/usr/sbin/sshd";

/// Keys and settings of both sides in a folder; the command that runs `remote` over there. `None` (and a word about it)
/// where there is no SSH.
fn over_ssh(folder: &Path, remote: &str) -> Option<String> {
    if !Path::new(SERVER).exists() || Command::new("ssh").arg("-V").output().is_err() {
        println!("skipped: needs ssh and {SERVER} (openssh-client, openssh-server)");
        return None;
    }
    let file = |name: &str| folder.join(name).display().to_string();
    for name in ["host", "own"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &file(name)])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    // For root the server drops its privileges in an empty folder, which usually the boot of the machine makes.
    if is_root() {
        std::fs::create_dir_all("/run/sshd").unwrap();
    }
    std::fs::copy(file("own.pub"), file("authorized")).unwrap();
    let host = std::fs::read_to_string(file("host.pub")).unwrap();
    std::fs::write(file("known"), format!("far-away {host}")).unwrap();
    let server = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\nPidFile none\n",
        file("host"),
        file("authorized")
    );
    std::fs::write(file("sshd_config"), server).unwrap();
    let client = format!(
        "Host far-away\nProxyCommand {SERVER} -i -e -f {} 2>{}\nIdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\n\
         UserKnownHostsFile {}\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\nBatchMode yes\nLogLevel ERROR\n\
         EscapeChar none\n",
        file("sshd_config"),
        file("sshd.log"),
        file("own"),
        file("known")
    );
    std::fs::write(file("ssh_config"), client).unwrap();
    Some(format!("ssh -F {} -tt far-away '{remote}'", file("ssh_config")))
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}

/// What runs on the other machine: the terminal UI, and a look at its terminal before and after.
fn remote(folder: &Path, results: &Path, environment: &str) -> String {
    let folder = folder.display();
    let console = super::console(results);
    format!(
        "cd {folder} && stty -g >before && test -n \"$SSH_TTY\" && {environment} {console} && stty -g >after && cmp before after"
    )
}

#[test]
fn over_ssh_it_is_drawn_resized_and_the_terminal_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, capture()).unwrap();
    let results = analyzed(folder.path(), &file);
    let remote = remote(folder.path(), &results, "LC_ALL=C.UTF-8");
    let Some(command) = over_ssh(folder.path(), &remote) else {
        return;
    };
    // TERM is the one thing that the client tells the server of its terminal, beside the size.
    let Some(tmux) = Tmux::start(80, 24, &[], &format!("TERM=xterm {command}")) else {
        return;
    };
    let first = tmux.wait_for(&[
        "192.168.1.7",
        "Horizontal port scan",
        "balanced",
        "? help",
        "q quit",
    ]);
    assert!(first.contains('┏'), "lines are drawn in UTF-8:\n{first}");
    for (key, texts) in [
        ("c", ["destination IPs, profile as client", "8.8.8.8"]),
        ("h", ["out tuples", "8.8.8.8 443/tcp"]),
        ("z", ["All evidence of 192.168.1.7", "Horizontal port scan"]),
        ("w", ["threat level", "threshold"]),
    ] {
        tmux.press(key);
        tmux.wait_for(&texts);
    }
    // The size goes over as well, and back.
    tmux.run(&["resize-window", "-t", "t", "-x", "250", "-y", "80"]);
    tmux.press("c");
    let wide = tmux.wait_until("250 columns and 80 lines", |picture| {
        picture.contains("logarithmic scale")
            && picture.lines().any(|line| line.chars().count() > 240)
            && picture
                .lines()
                .nth(79)
                .is_some_and(|line| line.contains("q quit"))
    });
    assert!(wide.contains("8.8.8.8"), "{wide}");
    tmux.run(&["resize-window", "-t", "t", "-x", "80", "-y", "24"]);
    tmux.wait_until("24 lines", |picture| {
        picture
            .lines()
            .nth(23)
            .is_some_and(|line| line.contains("q quit"))
    });
    // A clipboard is on this side: the sequence for it passes through.
    tmux.press("C");
    tmux.wait_for(&["copied: 8.8.8.8"]);
    tmux.press("q");
    tmux.wait_for_the_end();
}

/// The kernel's console, serial lines, a server without locales: arrows and lines of Unicode would be squares there.
#[test]
fn a_terminal_without_utf_8_gets_ascii() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, capture()).unwrap();
    let results = analyzed(folder.path(), &file);
    let remote = remote(folder.path(), &results, "LC_ALL=C");
    let Some(far) = over_ssh(folder.path(), &remote) else {
        return;
    };
    let here = super::console(&results);
    for command in [
        format!("TERM=xterm {far}"),
        format!("TERM=linux {here}"),
        format!("TERM=vt100 LC_ALL=C {here}"),
    ] {
        let Some(tmux) = Tmux::start(80, 24, &[], &command) else {
            return;
        };
        for (key, texts) in [
            ("Home", ["192.168.1.7", "Horizontal port scan"]),
            ("m", ["World", "private"]),
            ("c", ["destination IPs, profile as client", "8.8.8.8"]),
        ] {
            tmux.press(key);
            let picture = tmux.wait_for(&texts);
            let foreign: String = picture.chars().filter(|c| !c.is_ascii()).collect();
            assert!(foreign.is_empty(), "{command}: {foreign}\n{picture}");
            assert!(
                picture.contains("+---") || picture.contains("#==="),
                "frames:\n{picture}"
            );
        }
        tmux.press("q");
        tmux.wait_for_the_end();
    }
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, capture()).unwrap();
    let results = analyzed(folder.path(), &file);
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["console", "--from"])
        .arg(&results)
        .env("TERM", "dumb")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("TERM=dumb"), "{said}");
    assert!(output.stdout.is_empty());
}
