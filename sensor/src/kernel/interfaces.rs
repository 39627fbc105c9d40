//! Which of the watched interfaces are there now.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// What happened to an interface since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was removed, and with it every program on it.
    Gone { ifindex: u32 },
    /// There is an interface of this name again, or another one than before: it has to be attached anew.
    Back { ifindex: u32 },
}

/// Follows interfaces by name in the network namespace in which it was made, wherever the calling thread is.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct Interface {
    name: String,
    ifindex: Option<u32>,
}

impl Watch {
    /// Starts with the interfaces as they are now.
    ///
    /// # Errors
    /// An interface does not exist ([`io::ErrorKind::NotFound`] names it), or no socket can be had.
    pub fn new(names: &[String]) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let mut interfaces = Vec::with_capacity(names.len());
        for name in names {
            let ifindex = index(&socket, name)?;
            if ifindex.is_none() {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("no interface {name}"),
                ));
            }
            interfaces.push(Interface {
                name: name.clone(),
                ifindex,
            });
        }
        Ok(Self { socket, interfaces })
    }

    /// Names and indexes of those that are there.
    pub fn present(&self) -> impl Iterator<Item = (&str, u32)> {
        self.interfaces
            .iter()
            .filter_map(|interface| Some((interface.name.as_str(), interface.ifindex?)))
    }

    /// Looks again and returns what changed, in order; an interface that was replaced gives both changes.
    ///
    /// # Errors
    /// The kernel refuses to say.
    pub fn look(&mut self) -> io::Result<Vec<(String, Change)>> {
        let mut changes = Vec::new();
        for interface in &mut self.interfaces {
            let now = index(&self.socket, &interface.name)?;
            if now == interface.ifindex {
                continue;
            }
            if let Some(ifindex) = interface.ifindex {
                changes.push((interface.name.clone(), Change::Gone { ifindex }));
            }
            if let Some(ifindex) = now {
                changes.push((interface.name.clone(), Change::Back { ifindex }));
            }
            interface.ifindex = now;
        }
        Ok(changes)
    }
}

fn index(socket: &OwnedFd, name: &str) -> io::Result<Option<u32>> {
    match name_to_index(socket, name) {
        Ok(ifindex) => Ok(Some(ifindex)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_there_and_stays() {
        let mut watch = Watch::new(&["lo".to_owned()]).unwrap();
        assert_eq!(watch.present().collect::<Vec<_>>(), [("lo", 1)]);
        assert_eq!(watch.look().unwrap(), []);
    }

    #[test]
    fn a_missing_interface_is_named() {
        let error = Watch::new(&["lo".to_owned(), "nosuch0".to_owned()]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("nosuch0"), "{error}");
    }
}
