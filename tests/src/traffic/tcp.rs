//! Bulk TCP between two namespaces through the kernel's own stack: super packets by TSO, counted as segments by the
//! sender.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

/// Longer than any transfer of a test; a stuck one fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receive buffer of the server, in bytes: with it fewer than 256 segments are under way at once, which is all that the
/// queue of a veth in front of an XDP program holds. What it dropped, the stack would count and send in its own ways.
const RECEIVE_BUFFER: usize = 128 << 10;

/// What the two kernels' stacks sent, in packets as on a wire (a super packet counts as its segments).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    pub payload: u64,
    pub client_packets: u64,
    pub server_packets: u64,
    /// Of both, how many were sent again.
    pub retransmitted: u64,
}

/// Sends `payload` bytes over one connection from `client` to `address` in `server`, and closes it from both sides.
///
/// The counts are `OutSegs` + `RetransSegs` of each namespace (RFC 4022), so they hold everything that TCP sent there
/// meanwhile: nothing else must use TCP in the two namespaces.
///
/// # Errors
/// No connection, or bytes were lost.
pub fn bulk_tcp(client: &Netns, server: &Netns, address: SocketAddr, payload: u64) -> Result<Bulk> {
    let before = (segments(client)?, segments(server)?);
    let listener = server.run(|| TcpListener::bind(address)).context("listen")?;
    bound_window(&listener)?;
    let receiver = server.spawn(move || -> Result<u64> {
        let (mut stream, _) = listener.accept().context("accept")?;
        stream.set_read_timeout(Some(PATIENCE)).context("time limit")?;
        let mut received = 0;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match stream.read(&mut buffer).context("receive")? {
                0 => return Ok(received),
                count => received += count as u64,
            }
        }
    })?;
    client.run(|| -> Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context("connect")?;
        stream.set_write_timeout(Some(PATIENCE)).context("time limit")?;
        let chunk = vec![0x5a; 256 << 10];
        let mut left = payload;
        while left > 0 {
            let count = left.min(chunk.len() as u64) as usize;
            stream.write_all(&chunk[..count]).context("send")?;
            left -= count as u64;
        }
        stream.shutdown(std::net::Shutdown::Write).context("close")?;
        // The end of the other direction: after it, both FINs were exchanged.
        let mut rest = [0; 1];
        stream.set_read_timeout(Some(PATIENCE)).context("time limit")?;
        ensure!(
            stream.read(&mut rest).context("wait for the close")? == 0,
            "unexpected data"
        );
        Ok(())
    })?;
    let received = receiver.join().ok().context("receiver panicked")??;
    ensure!(received == payload, "received {received} of {payload} bytes");
    // The last ACK is sent by the stack on its own.
    std::thread::sleep(Duration::from_millis(100));
    let after = (segments(client)?, segments(server)?);
    Ok(Bulk {
        payload,
        client_packets: after.0.0 + after.0.1 - before.0.0 - before.0.1,
        server_packets: after.1.0 + after.1.1 - before.1.0 - before.1.1,
        retransmitted: after.0.1 + after.1.1 - before.0.1 - before.1.1,
    })
}

/// The connections that it accepts inherit the bound.
fn bound_window(listener: &TcpListener) -> Result<()> {
    rustix::net::sockopt::set_socket_recv_buffer_size(listener, RECEIVE_BUFFER).context("receive buffer")
}

fn segments(namespace: &Netns) -> Result<(u64, u64)> {
    Ok((
        namespace.snmp("Tcp", "OutSegs")?,
        namespace.snmp("Tcp", "RetransSegs")?,
    ))
}
