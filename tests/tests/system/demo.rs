//! The README's first command: the built demo, through the kernel and through a file, ends with profiles, evidence, an
//! alert, and an account in which no frame of the sender is missing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lynceus_tests::{need_root, program, scenario};

/// Seconds: the scenario takes six, a busy machine much more.
const PATIENCE: &str = "300";
const DEMO: &str = env!("CARGO_BIN_EXE_lynceus-demo");

#[test]
fn demo_goes_through_the_kernel_and_loses_nothing() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = run(&[], &folder.path().join("found"));
    assert!(text.contains("capturing on"), "{text}");
    assert_found(&text);
    let sent = number_after(&text, "The sender counted ");
    assert_eq!(sent, scenario::demo().len() as u64, "{text}");
    let law = text
        .lines()
        .find(|line| line.contains("recv0 ingress"))
        .unwrap_or_else(|| panic!("no account of the interface: {text}"));
    assert_eq!(number_after(law, "balanced"), sent, "seen by the hook: {text}");
    assert!(text.contains("none behind the hooks"), "{text}");
}

/// Where somebody sits at a terminal, one key opens what was found, and the terminal UI shows who, why and how to go on.
#[test]
fn demo_leads_into_the_terminal_ui() {
    let folder = tempfile::tempdir().unwrap();
    program::built("lynceus").expect("lynceus builds");
    let tmux = |arguments: &[&str]| {
        let name = format!("lynceus-demo-{}", std::process::id());
        let mut command = Command::new("tmux");
        command
            .env_remove("TMUX")
            .args(["-L", &name, "-f", "/dev/null"])
            .args(arguments);
        command.output()
    };
    if tmux(&["-V"]).is_err() {
        println!("skipped: tmux is not installed");
        return;
    }
    // The file's way: no network of its own, and as quick as the machine is.
    let found = folder.path().join("found");
    let without = if is_root() {
        "setpriv --bounding-set -sys_admin,-net_admin "
    } else {
        ""
    };
    let demo = format!(
        "trap : INT; {without}{DEMO} --out {}; echo \"ended with $?\"; sleep 600",
        found.display()
    );
    tmux(&["new-session", "-d", "-s", "t", "-x", "100", "-y", "30", &demo]).expect("tmux starts");
    let press = |key: &str| tmux(&["send-keys", "-t", "t", key]).expect("a key is sent");
    let wait_until = |what: &str, wanted: &dyn Fn(&str) -> bool| {
        let begin = Instant::now();
        loop {
            let output = tmux(&["capture-pane", "-p", "-t", "t"]).expect("tmux answers");
            let picture = String::from_utf8_lossy(&output.stdout).into_owned();
            if wanted(&picture) {
                return;
            }
            if begin.elapsed() > Duration::from_secs(300) {
                let _ = tmux(&["kill-server"]);
                panic!("not on the screen: {what}\n{picture}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let wait_for = |texts: &[&str]| {
        wait_until(&texts.join(", "), &|picture| {
            texts.iter().all(|text| picture.contains(text))
        });
    };
    wait_for(&["Enter: open it in the terminal"]);
    press("Enter");
    // Who; and the keys that lead to why and to the peers.
    wait_for(&["1 flagged", "192.168.77.66", "ALERT", "w why", "c peers"]);
    press("w");
    wait_for(&["terms of the sum", "Horizontal port scan of port 21/tcp"]);
    press("c");
    wait_for(&["destination IPs, profile as client", "192.168.77.100"]);
    press("q");
    // What is typed before it asks again might still go to the terminal UI.
    wait_until("the second question", &|picture| {
        picture.matches("q Enter: quit").count() == 2
    });
    // The same in the browser.
    press("b");
    press("Enter");
    let address = std::cell::RefCell::new(None);
    wait_until("the address of the page", &|picture| {
        *address.borrow_mut() = page_address(picture);
        address.borrow().is_some()
    });
    let address = address.take().expect("the address of the page");
    let page = get(&address);
    for text in ["192.168.77.66 looks infected", "/alert/"] {
        assert!(page.contains(text), "no {text}: {page}");
    }
    press("C-c");
    wait_until("the third question", &|picture| {
        picture.matches("q Enter: quit").count() == 3
    });
    press("q");
    press("Enter");
    wait_for(&["ended with 0"]);
    tmux(&["kill-server"]).expect("tmux ends");
}

/// `127.0.0.1:PORT` of the page, once the whole line is there.
fn page_address(picture: &str) -> Option<String> {
    let rest = picture.split("http://").nth(1)?;
    Some(rest.split_once('/')?.0.to_owned())
}

/// The page behind `/`, as text.
fn get(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the page listens");
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    )
    .expect("a question is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the page answers");
    answer
}

#[test]
fn demo_goes_through_a_file_where_namespaces_are_not_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let without: &[&str] = if is_root() {
        // Root as in a container that may not administer the network.
        &["setpriv", "--bounding-set", "-sys_admin,-net_admin"]
    } else {
        &[]
    };
    let text = run(without, &folder.path().join("found"));
    assert!(
        text.contains("the same frames go through a file instead"),
        "{text}"
    );
    assert_found(&text);
    let packets = scenario::demo().len();
    assert!(text.contains(&format!("{packets} packets")), "{text}");
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Runs the demo to its end, which nobody has to ask for; returns what it printed.
fn run(through: &[&str], out: &Path) -> String {
    // The demo would build it too, but not within its patience.
    program::built("lynceus").expect("lynceus builds");
    // Signals the whole group, so that a demo that hangs leaves no capture behind.
    let output = Command::new("timeout")
        .arg(PATIENCE)
        .args(through)
        .args([DEMO, "--out"])
        .arg(out)
        .output()
        .expect("the demo starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{stderr}", output.status);
    assert!(out.is_dir(), "nothing was kept: {text}");
    text
}

fn assert_found(text: &str) {
    assert!(text.contains("ALERT"), "{text}");
}

/// The number behind `mark`, which may have separators of thousands.
fn number_after(text: &str, mark: &str) -> u64 {
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark:?} in {text}"));
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(|sign| sign.is_ascii_digit() || *sign == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {mark:?} in {text}"))
}
