//! NetFlow v5, v9 and IPFIX over UDP as a source.
//!
//! A record is one direction of a flow, or a part of it, or both directions (RFC 5103); the flow table that joins the
//! kernel's records joins these too. What two interfaces of an exporter saw of the same packets stands in `seen_at` and
//! counts once. Templates are kept by exporter and domain, in bounded numbers; gaps in the exporters' sequence numbers
//! are losses.

mod fields;
mod records;
mod sampling;
mod sequence;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use anyhow::Context as _;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use rustix::net::sockopt;

pub use self::records::{NetflowCounts, Records};
use super::{Event, Source, Status};

/// Largest UDP datagram.
const DATAGRAM: usize = 65_535;
/// Datagrams that one call takes: some 30 records each.
const DATAGRAMS_PER_CALL: usize = 256;
/// Asked of the kernel for what arrives between two calls; it may give less (`net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 8 << 20;

/// A socket that exporters send to.
pub struct NetflowSource {
    socket: UdpSocket,
    records: Records,
    ended: Vec<FlowUpdate>,
    buffer: Vec<u8>,
    last_datagram: Instant,
    stopping: bool,
    done: bool,
}

impl NetflowSource {
    /// Opens the socket.
    ///
    /// # Errors
    /// The address is in use, or not of this machine.
    pub fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket =
            UdpSocket::bind(address).with_context(|| format!("cannot receive NetFlow on {address}"))?;
        socket.set_nonblocking(true).context("cannot use the socket")?;
        if let Err(error) = sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER) {
            tracing::info!(%error, "the socket keeps its receive buffer");
        }
        Ok(Self {
            socket,
            records: Records::new()?,
            ended: Vec::new(),
            buffer: vec![0; DATAGRAM],
            last_datagram: Instant::now(),
            stopping: false,
            done: false,
        })
    }

    /// Where the socket is: of port 0 the kernel chose one.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes what arrived already, hands out all flows, and ends.
    pub const fn stop(&mut self) {
        self.stopping = true;
    }

    #[must_use]
    pub const fn counts(&self) -> NetflowCounts {
        self.records.counts()
    }

    #[must_use]
    pub fn status(&self) -> SensorStatus {
        self.records.status()
    }

    /// Takes one datagram; `false` if none is there.
    fn receive(&mut self) -> anyhow::Result<bool> {
        match self.socket.recv_from(&mut self.buffer) {
            Ok((length, from)) => {
                self.last_datagram = Instant::now();
                self.records
                    .datagram(&self.buffer[..length], from, &mut self.ended);
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error).context("cannot receive NetFlow"),
        }
    }
}

impl Source for NetflowSource {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        if self.done {
            return Ok(Status::Ended);
        }
        let mut taken = 0;
        while taken < DATAGRAMS_PER_CALL && self.receive()? {
            taken += 1;
        }
        let settled = self.watermark();
        if settled > Timestamp::MIN {
            self.records.tick(settled, &mut self.ended);
        }
        let mut status = if taken == DATAGRAMS_PER_CALL {
            Status::More
        } else {
            Status::Idle
        };
        if self.stopping && taken == 0 {
            status = if self.records.finish(&mut self.ended) {
                Status::More
            } else {
                self.done = true;
                Status::Ended
            };
        }
        events.extend(self.ended.drain(..).map(|update| Event::Flow(Box::new(update))));
        Ok(status)
    }

    /// A moment behind the newest record, so that both directions of a flow are there; with the clock in silence.
    fn watermark(&self) -> Timestamp {
        const MOMENT: i64 = 2_000_000_000;
        match self.records.newest() {
            Timestamp::MIN => Timestamp::MIN,
            newest => Timestamp(newest.0.saturating_sub(MOMENT)).saturating_add(self.last_datagram.elapsed()),
        }
    }
}

#[cfg(test)]
mod tests;
