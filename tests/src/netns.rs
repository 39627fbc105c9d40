//! Network namespaces and veth pairs that vanish with their guard, also when a test panics; what a killed run left
//! behind is removed by the next one.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

/// Where iproute2 keeps the names of namespaces.
const NAMES: &str = "/run/netns";
const PREFIX: &str = "lyn-";

/// A network namespace of this test, without IPv6 (router and neighbor solicitations would upset exact counts).
#[derive(Debug)]
pub struct Netns {
    name: String,
    file: File,
}

impl Netns {
    /// Makes a namespace with its loopback up. `label` only helps a person who looks at `ip netns`.
    ///
    /// # Errors
    /// `ip` failed: not root, or no network namespaces in this kernel.
    pub fn new(label: &str) -> Result<Self> {
        static STALE: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        STALE.call_once(remove_stale);
        let pid = std::process::id();
        let started = start_time(pid).context("start time of this process")?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{pid}-{started}-{number}-{label}");
        ip(&["netns", "add", &name])?;
        let path = Path::new(NAMES).join(&name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => {
                delete(&name);
                return Err(error).with_context(|| format!("open {}", path.display()));
            }
        };
        let namespace = Self { name, file };
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }

    /// Runs `body` on a thread inside the namespace and waits for it; a panic of it goes on in the caller.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    enter(&self.file).expect("a namespace that this test made can be entered");
                    body()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts `body` on a thread inside the namespace.
    ///
    /// # Errors
    /// The descriptor of the namespace cannot be duplicated.
    pub fn spawn<T: Send + 'static>(
        &self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<T>> {
        let file = self
            .file
            .try_clone()
            .context("duplicate the namespace's descriptor")?;
        Ok(thread::spawn(move || {
            enter(&file).expect("a namespace that this test made can be entered");
            body()
        }))
    }

    /// A command that will run inside the namespace (with the mounts of the caller, unlike `ip netns exec`, which
    /// hides bpffs).
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let descriptor = self.file.as_raw_fd();
        let enter = move || {
            // SAFETY: setns takes two integers; the descriptor is inherited by the forked child and is still open
            // there, and setns is async-signal-safe.
            match unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure runs between fork and exec and makes one system call; it does not allocate or lock.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// `ip -n NAMESPACE` with these arguments, split at blanks.
    ///
    /// # Errors
    /// `ip` failed; the error holds what it wrote.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        ip(&all)
    }

    /// `tc -n NAMESPACE` with these arguments, split at blanks.
    ///
    /// # Errors
    /// `tc` failed; the error holds what it wrote.
    pub fn tc(&self, arguments: &str) -> Result<String> {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        run_tool("tc", &all)
    }

    /// Writes a setting below `/proc/sys` of the namespace, e.g. `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// The setting does not exist or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| fs::write(Path::new("/proc/sys").join(key), value))
            .with_context(|| format!("set {key} to {value}"))
    }

    /// Interface index inside the namespace.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn ifindex(&self, interface: &str) -> Result<u32> {
        let name = std::ffi::CString::new(interface).context("interface name")?;
        // SAFETY: `name` is a C string that lives over the call.
        let index = self.run(|| unsafe { libc::if_nametoindex(name.as_ptr()) });
        ensure!(index != 0, "no interface {interface} in {}", self.name);
        Ok(index)
    }

    /// The kernel's own counters of an interface.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn link_counters(&self, interface: &str) -> Result<LinkCounters> {
        let text = self
            .run(|| fs::read_to_string("/proc/thread-self/net/dev"))
            .context("read net/dev")?;
        LinkCounters::find(&text, interface).with_context(|| format!("no interface {interface} in net/dev"))
    }

    /// A counter of `/proc/net/snmp`, e.g. (`Tcp`, `OutSegs`).
    ///
    /// # Errors
    /// There is no such counter.
    pub fn snmp(&self, group: &str, counter: &str) -> Result<u64> {
        let text = self
            .run(|| fs::read_to_string("/proc/thread-self/net/snmp"))
            .context("read net/snmp")?;
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
        let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        names
            .split(' ')
            .zip(values.split(' '))
            .find_map(|(name, value)| (name == counter).then(|| value.parse().ok()).flatten())
            .with_context(|| format!("no counter {group} {counter} in net/snmp"))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

/// Counters of an interface as `/proc/net/dev` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

impl LinkCounters {
    fn find(text: &str, interface: &str) -> Option<Self> {
        let line = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))?;
        let numbers: Vec<u64> = line
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        Some(Self {
            rx_bytes: *numbers.first()?,
            rx_packets: *numbers.get(1)?,
            rx_dropped: *numbers.get(3)?,
            tx_bytes: *numbers.get(8)?,
            tx_packets: *numbers.get(9)?,
            tx_dropped: *numbers.get(11)?,
        })
    }
}

/// How a veth pair is made.
#[derive(Clone, Copy, Debug)]
pub struct VethOptions {
    pub mtu: u32,
    /// Queues of each end. One keeps all frames in the order in which they were sent; several let several CPUs
    /// receive at once.
    pub queues: u32,
}

impl Default for VethOptions {
    fn default() -> Self {
        Self { mtu: 1500, queues: 1 }
    }
}

/// Makes a veth pair between two namespaces, both ends up, without addresses.
///
/// # Errors
/// `ip` failed, e.g. because a name is taken.
pub fn veth(left: (&Netns, &str), right: (&Netns, &str), options: VethOptions) -> Result<()> {
    let VethOptions { mtu, queues } = options;
    let ((left, left_name), (right, right_name)) = (left, right);
    ip(&format!(
        "link add name {left_name} mtu {mtu} numtxqueues {queues} numrxqueues {queues} netns {} type veth \
         peer name {right_name} mtu {mtu} numtxqueues {queues} numrxqueues {queues} netns {}",
        left.name, right.name
    )
    .split_whitespace()
    .collect::<Vec<_>>())?;
    left.ip(&format!("link set dev {left_name} up"))?;
    right.ip(&format!("link set dev {right_name} up"))?;
    Ok(())
}

/// Two namespaces and a veth pair between them: `send0` → `recv0`.
#[derive(Debug)]
pub struct Pair {
    pub sender: Netns,
    pub receiver: Netns,
}

impl Pair {
    pub const TX: &'static str = "send0";
    pub const RX: &'static str = "recv0";
    pub const SENDER_IP: &'static str = "10.77.0.1";
    pub const RECEIVER_IP: &'static str = "10.77.0.2";

    /// # Errors
    /// As [`Netns::new`] and [`veth`].
    pub fn new(options: VethOptions) -> Result<Self> {
        let pair = Self {
            sender: Netns::new("sender")?,
            receiver: Netns::new("receiver")?,
        };
        veth((&pair.sender, Self::TX), (&pair.receiver, Self::RX), options)?;
        Ok(pair)
    }

    /// Gives both ends an address and a fixed neighbor, so that the hosts can talk and no ARP disturbs the counts.
    ///
    /// # Errors
    /// `ip` failed.
    pub fn with_addresses(self) -> Result<Self> {
        let ends = [
            (&self.sender, Self::TX, Self::SENDER_IP),
            (&self.receiver, Self::RX, Self::RECEIVER_IP),
        ];
        for (namespace, link, address) in ends {
            namespace.ip(&format!("addr add {address}/24 dev {link}"))?;
        }
        for ((namespace, link, _), (peer, peer_link, peer_address)) in
            [(ends[0], ends[1]), (ends[1], ends[0])]
        {
            let mac = mac_address(peer, peer_link)?;
            namespace.ip(&format!(
                "neigh replace {peer_address} lladdr {mac} dev {link} nud permanent"
            ))?;
        }
        Ok(self)
    }
}

/// MAC address of an interface as iproute2 writes it.
///
/// # Errors
/// There is no such interface.
pub fn mac_address(namespace: &Netns, interface: &str) -> Result<String> {
    let text = namespace.ip(&format!("-br link show dev {interface}"))?;
    text.split_whitespace()
        .nth(2)
        .map(str::to_owned)
        .with_context(|| format!("no MAC address in {text:?}"))
}

/// Moves the calling thread into a namespace.
fn enter(namespace: &File) -> std::io::Result<()> {
    // SAFETY: setns takes two integers; the descriptor is open while `namespace` is borrowed.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn ip(arguments: &[&str]) -> Result<String> {
    run_tool("ip", arguments)
}

fn run_tool(tool: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {tool}"))?;
    ensure!(
        output.status.success(),
        "{tool} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A guard cannot fail loudly; what stays is removed by the next run.
fn delete(name: &str) {
    let _ = run_tool("ip", &["netns", "del", name]);
}

/// Removes the namespaces of test processes that are gone.
fn remove_stale() {
    let Ok(entries) = fs::read_dir(NAMES) else { return };
    for name in entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let Some(owner) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let mut parts = owner.split('-').map(str::parse::<u64>);
        let (Some(Ok(pid)), Some(Ok(started))) = (parts.next(), parts.next()) else {
            continue;
        };
        let alive = u32::try_from(pid).ok().and_then(start_time) == Some(started);
        if !alive {
            delete(&name);
        }
    }
}

/// Clock ticks from boot to the start of a process: with the pid it names a process for as long as the machine runs.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name, in parentheses, may hold blanks; `starttime` is field 22, the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
