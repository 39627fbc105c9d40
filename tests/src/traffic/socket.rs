//! Frames onto an interface through `AF_PACKET`, in order, with the count of those that the kernel took.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Frames for one `sendmmsg`: enough to make the system call cheap, few enough that a veth queue (256) holds them.
const BATCH: usize = 64;

/// Size of `struct virtio_net_hdr`.
const VNET_HEADER: usize = 10;
const ETHERNET: u16 = 14;
const IPV4: u16 = 20;

/// What a sender handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub frames: u64,
    /// Ethernet header to end of frame.
    pub bytes: u64,
    /// Times the kernel refused a frame for want of room; it was sent again.
    pub refused: u64,
}

/// A raw packet socket bound to an interface of the calling thread's namespace; it receives nothing.
#[derive(Debug)]
pub struct FrameSocket {
    descriptor: OwnedFd,
}

impl FrameSocket {
    /// # Errors
    /// Not root, or no such interface.
    pub fn open(interface: &str) -> Result<Self> {
        let name = std::ffi::CString::new(interface).context("interface name")?;
        // SAFETY: `name` is a C string that lives over the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        ensure!(index != 0, "no interface {interface}");
        // SAFETY: socket takes three integers.
        let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        ensure!(descriptor >= 0, "packet socket: {}", io::Error::last_os_error());
        // SAFETY: the descriptor was just made and nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: all-zero bytes are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::sa_family_t;
        address.sll_ifindex = i32::try_from(index).context("interface index")?;
        // SAFETY: the pointer and the length are those of one sockaddr_ll that lives over the call.
        let bound = unsafe {
            libc::bind(
                descriptor.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        ensure!(bound == 0, "bind to {interface}: {}", io::Error::last_os_error());
        Ok(Self { descriptor })
    }

    /// Sends all frames at full speed, in order.
    ///
    /// # Errors
    /// The kernel refuses a frame for another reason than want of room (too long for the MTU, too short); the error
    /// says which one.
    pub fn send_all<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> Result<Sent> {
        let mut sent = Sent::default();
        let mut batch: Vec<&[u8]> = Vec::with_capacity(BATCH);
        for frame in frames {
            batch.push(frame);
            if batch.len() == BATCH {
                self.send_batch(&batch, &mut sent)?;
                batch.clear();
            }
        }
        self.send_batch(&batch, &mut sent)?;
        Ok(sent)
    }

    /// Sends what `next` writes into its buffer until it says `None`; at most `rate` frames a second where one is
    /// given, in bursts of one batch.
    ///
    /// # Errors
    /// As [`Self::send_all`].
    pub fn send_made(
        &self,
        rate: Option<u32>,
        mut next: impl FnMut(&mut Vec<u8>) -> Option<()>,
    ) -> Result<Sent> {
        let mut buffers = vec![Vec::new(); BATCH];
        let mut sent = Sent::default();
        let start = Instant::now();
        loop {
            let filled = buffers.iter_mut().map_while(&mut next).count();
            let batch: Vec<&[u8]> = buffers[..filled].iter().map(Vec::as_slice).collect();
            self.send_batch(&batch, &mut sent)?;
            if filled < BATCH {
                return Ok(sent);
            }
            if let Some(rate) = rate {
                let due = start + Duration::from_nanos(sent.frames * 1_000_000_000 / u64::from(rate.max(1)));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Sends one IPv4 TCP frame longer than the MTU that the kernel (or the receiver's hook) sees as one super packet
    /// of several segments with `segment` bytes of payload each, as TSO and GRO make them.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn send_super(&self, frame: &[u8], header: u16, segment: u16) -> Result<()> {
        self.set_option(libc::PACKET_VNET_HDR, 1)?;
        let mut message = Vec::with_capacity(VNET_HEADER + frame.len());
        // struct virtio_net_hdr: flags NEEDS_CSUM, gso_type TCPV4, hdr_len, gso_size, csum_start, csum_offset.
        message.extend_from_slice(&[1, 1]);
        for word in [header, segment, ETHERNET + IPV4, 16] {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        message.extend_from_slice(frame);
        // SAFETY: pointer and length describe `message`, which lives over the call.
        let result = unsafe {
            libc::send(
                self.descriptor.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
            )
        };
        let error = io::Error::last_os_error();
        self.set_option(libc::PACKET_VNET_HDR, 0)?;
        ensure!(
            result >= 0,
            "send a super packet of {} bytes: {error}",
            frame.len()
        );
        Ok(())
    }

    fn send_batch(&self, batch: &[&[u8]], sent: &mut Sent) -> Result<()> {
        let mut vectors: Vec<libc::iovec> = batch
            .iter()
            .map(|frame| libc::iovec {
                iov_base: frame.as_ptr().cast_mut().cast(),
                iov_len: frame.len(),
            })
            .collect();
        let mut messages: Vec<libc::mmsghdr> = vectors
            .iter_mut()
            .map(|vector| {
                // SAFETY: all-zero bytes are a valid mmsghdr.
                let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
                message.msg_hdr.msg_iov = vector;
                message.msg_hdr.msg_iovlen = 1;
                message
            })
            .collect();
        let mut done = 0;
        while done < batch.len() {
            let rest = &mut messages[done..];
            // SAFETY: `rest` holds that many messages, each with one vector into a frame that lives over the call;
            // the kernel only reads the frames.
            let result = unsafe {
                libc::sendmmsg(
                    self.descriptor.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    0,
                )
            };
            if let Ok(count) = usize::try_from(result) {
                sent.frames += count as u64;
                sent.bytes += batch[done..done + count]
                    .iter()
                    .map(|frame| frame.len() as u64)
                    .sum::<u64>();
                done += count;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::ENOBUFS | libc::EAGAIN | libc::EINTR) => {
                    sent.refused += 1;
                    std::thread::yield_now();
                }
                _ => {
                    let length = batch[done].len();
                    return Err(error)
                        .with_context(|| format!("send frame {} of {length} bytes", sent.frames));
                }
            }
        }
        Ok(())
    }

    fn set_option(&self, option: i32, value: i32) -> Result<()> {
        // SAFETY: pointer and length describe one c_int that lives over the call.
        let result = unsafe {
            libc::setsockopt(
                self.descriptor.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const value).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        ensure!(
            result == 0,
            "set packet option {option}: {}",
            io::Error::last_os_error()
        );
        Ok(())
    }
}

/// Keeps the calling thread on one CPU, so that what it sends is received in order and on that CPU.
///
/// # Errors
/// The machine has no such CPU for us.
pub fn pin_to_cpu(cpu: usize) -> Result<()> {
    // SAFETY: all-zero bytes are an empty CPU set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    ensure!(cpu < libc::CPU_SETSIZE as usize, "CPU {cpu} is beyond a CPU set");
    // SAFETY: `cpu` is within the set, checked above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the pointer and the size are those of `set`; 0 means the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
    ensure!(result == 0, "pin to CPU {cpu}: {}", io::Error::last_os_error());
    Ok(())
}
