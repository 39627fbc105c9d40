//! A network that answers late: a TAP device whose other end is this process. Echo requests and SYNs to the addresses it
//! plays come back after a delay of each address's own, so distances can be tested on kernels without `netem`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::frames::{ACK, Host, SYN, Tcp, checksum, tcp};
use crate::netns::Netns;

/// Name of the device in the namespace.
pub const LINK: &str = "late0";
/// `linux/if_tun.h`.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const IFF_TAP: libc::c_short = 2;
const IFF_NO_PI: libc::c_short = 0x1000;
/// Longest wait before the flag is looked at again.
const TICK: Duration = Duration::from_millis(20);

/// Who is played: an address, and the time from request to answer.
pub type Delay = (Ipv4Addr, Duration);

/// Answers until the guard goes; the device goes with it.
#[derive(Debug)]
pub struct LateNetwork {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LateNetwork {
    /// Gives the namespace the device with the address `own`/16, and plays `delays` behind it.
    ///
    /// # Errors
    /// No `/dev/net/tun`, or `ip` failed.
    pub fn start(namespace: &Netns, own: Ipv4Addr, delays: Vec<Delay>) -> Result<Self> {
        let mut tap = namespace.run(open)?;
        namespace.ip(&format!("addr add {own}/16 dev {LINK}"))?;
        namespace.ip(&format!("link set dev {LINK} up"))?;
        for (address, _) in &delays {
            let [a, b, c, d, e, f] = Host::new(*address).mac;
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            namespace.ip(&format!("route replace {address}/32 dev {LINK} src {own}"))?;
            namespace.ip(&format!(
                "neigh replace {address} lladdr {mac} dev {LINK} nud permanent"
            ))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || answer(&mut tap, &delays, &stopped));
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for LateNetwork {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Its panic is that of the test that sees no answers.
            let _ = thread.join();
        }
    }
}

fn open() -> Result<File> {
    let tap = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("open /dev/net/tun")?;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(LINK.bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = IFF_TAP | IFF_NO_PI;
    // SAFETY: the descriptor is open, and the pointer is that of one ifreq, which the kernel reads and writes.
    let result = unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETIFF, &raw mut request) };
    ensure!(result == 0, "make {LINK}: {}", std::io::Error::last_os_error());
    Ok(tap)
}

fn answer(tap: &mut File, delays: &[Delay], stop: &AtomicBool) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut frame = [0; 2048];
    while !stop.load(Ordering::Acquire) {
        let now = Instant::now();
        while waiting.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, reply)) = waiting.pop_front() {
                // A full queue loses it, as a network would.
                let _ = tap.write(&reply);
            }
        }
        let wait = waiting
            .front()
            .map_or(TICK, |(due, _)| due.saturating_duration_since(now).min(TICK));
        if !readable(tap, wait) {
            continue;
        }
        let Ok(length) = tap.read(&mut frame) else {
            continue;
        };
        let arrived = Instant::now();
        let Some((address, reply)) = reply(&frame[..length]) else {
            continue;
        };
        let Some((_, delay)) = delays.iter().find(|(played, _)| *played == address) else {
            continue;
        };
        let due = arrived + *delay;
        let at = waiting.partition_point(|(other, _)| *other <= due);
        waiting.insert(at, (due, reply));
    }
}

/// Waits a little longer than asked rather than spinning; an answer may be late, never early.
fn readable(tap: &File, wait: Duration) -> bool {
    let mut poll = libc::pollfd {
        fd: tap.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let milliseconds = wait.as_micros().div_ceil(1000) as libc::c_int;
    // SAFETY: the pointer and the count are those of one pollfd that lives over the call.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) > 0 }
}

/// Whom an echo request or a SYN is for, and the answer to it.
fn reply(frame: &[u8]) -> Option<(Ipv4Addr, Vec<u8>)> {
    if frame.len() < 34 || frame[12..15] != [0x08, 0x00, 0x45] {
        return None;
    }
    let address = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
    let (from, to) = (address(26), address(30));
    let mac = |at: usize| -> [u8; 6] { std::array::from_fn(|index| frame[at + index]) };
    let length = usize::from(u16::from_be_bytes([frame[16], frame[17]])) + 14;
    let packet = frame.get(..length)?;
    match (packet[23], packet.get(34..)?) {
        (1, [8, 0, ..]) => {
            let mut reply = packet.to_vec();
            reply[..6].copy_from_slice(&packet[6..12]);
            reply[6..12].copy_from_slice(&packet[..6]);
            reply[26..30].copy_from_slice(&to.octets());
            reply[30..34].copy_from_slice(&from.octets());
            reply[34] = 0;
            reply[36..38].fill(0);
            let sum = checksum(&reply[34..], 0);
            reply[36..38].copy_from_slice(&sum.to_be_bytes());
            Some((to, reply))
        }
        (6, segment @ [_, _, _, _, ..]) if segment.len() >= 20 && segment[13] & (SYN | ACK) == SYN => {
            let word = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
            let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
            let header = Tcp {
                source_port: word(2),
                destination_port: word(0),
                sequence: 1,
                acknowledgment: sequence.wrapping_add(1),
                flags: SYN | ACK,
            };
            let server = Host { mac: mac(0), ip: to };
            let client = Host {
                mac: mac(6),
                ip: from,
            };
            Some((to, tcp(&server, &client, header, &[])))
        }
        _ => None,
    }
}
