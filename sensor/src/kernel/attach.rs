//! Chooses the hooks of an interface and attaches the programs to them.
//!
//! Everybody else's programs stay: XDP is not taken from another program, TCX programs pass every packet on, a clsact
//! qdisc is never deleted, and of its filters only those with our own names go. Links are never pinned: XDP and TCX
//! links vanish with the process; a clsact filter that a killed process left is removed by the next start.

use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use aya::programs::links::{FdLink, LinkOrder};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact, qdisc_detach_program,
};
use aya::programs::xdp::XdpMode;
use aya::programs::{ProgramError, TcAttachType};
use sensor_ebpf::flow::{HookDirection, Point};
use thiserror::Error;

use super::load::{Kernel, LoadError, program};

/// Priorities of our clsact filters, tried in order: a filter that runs before ours and gives a verdict would hide the
/// packet from us, and a priority belongs to one kind of filter, so an early one may be somebody else's.
const PRIORITIES: [u16; 4] = [1, 2, 3, 0x4c59];
/// Handle of our clsact filters ("LY").
const HANDLE: u32 = 0x4c59_0001;

/// Which hooks to use.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum HookChoice {
    /// XDP on ingress where the interface has a hardware driver that accepts it, else TC; TC on egress.
    #[default]
    Auto,
    /// XDP in the driver on ingress, TC on egress.
    Xdp,
    /// XDP behind the driver on ingress (sees packets that GRO has joined as one), TC on egress.
    XdpGeneric,
    /// TCX both ways (Linux 6.6).
    Tcx,
    /// Filters on the clsact qdisc both ways.
    Clsact,
    /// TCX, else clsact, both ways.
    Tc,
}

/// How a program was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    XdpNative,
    XdpGeneric,
    Tcx,
    Clsact,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::XdpNative => "XDP in the driver",
            Self::XdpGeneric => "XDP behind the driver",
            Self::Tcx => "TCX",
            Self::Clsact => "clsact",
        })
    }
}

/// One attached program.
#[derive(Debug)]
pub struct Hook {
    pub point: Point,
    /// Place of the point's counters.
    pub slot: u32,
    pub mechanism: Mechanism,
    _link: Link,
}

/// Detaches when dropped.
#[derive(Debug)]
#[allow(dead_code, reason = "held for their drop")]
enum Link {
    /// Closing the descriptor detaches.
    Descriptor(FdLink),
    Filter(SchedClassifierLink, OwnerLock),
}

/// The programs on one interface. Dropping it detaches them.
#[derive(Debug)]
pub struct Attachment {
    pub interface: String,
    pub ifindex: u32,
    /// Ingress, then egress.
    pub hooks: [Hook; 2],
    /// Why these hooks, in a sentence.
    pub reason: String,
}

/// Why an interface cannot be observed.
#[derive(Debug, Error)]
pub enum AttachError {
    #[error("there is no interface `{interface}` here")]
    NoInterface {
        interface: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("failed to attach to `{interface}` by {mechanism}{}", hint(*.mechanism))]
    Attach {
        interface: String,
        mechanism: Mechanism,
        #[source]
        source: Box<ProgramError>,
    },
    #[error(
        "the kernel gave no link for XDP on `{interface}`; it would outlive this process (Linux 5.9 has links)"
    )]
    NoLink { interface: String },
    #[error("failed to add a clsact qdisc to `{interface}`")]
    Qdisc {
        interface: String,
        #[source]
        source: Box<aya::programs::TcError>,
    },
    #[error("another lynceus observes `{interface}` by clsact")]
    Busy { interface: String },
}

const fn hint(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::XdpNative => {
            " (its driver may lack XDP, or another XDP program is there; `--hook auto` falls back)"
        }
        Mechanism::XdpGeneric => " (another XDP program may be there)",
        Mechanism::Tcx => " (TCX needs Linux 6.6; `--hook clsact` works on older ones)",
        Mechanism::Clsact => "",
    }
}

impl Kernel {
    /// Attaches to an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// [`AttachError`]; nothing stays attached then.
    pub fn attach(&mut self, interface: &str, choice: HookChoice) -> Result<Attachment, AttachError> {
        let ifindex = index_of(interface).map_err(|source| AttachError::NoInterface {
            interface: interface.to_owned(),
            source,
        })?;
        let target = Target { interface, ifindex };
        for egress in [false, true] {
            // Without the lock another lynceus is at work there, and its filters are none of ours.
            if let Some(_lock) = OwnerLock::take(ifindex, egress) {
                remove_stale(interface, egress);
            }
        }
        let (ingress, reason) = match choice {
            HookChoice::Auto => self.automatic(target)?,
            HookChoice::Xdp => (
                self.attach_xdp(target, Mechanism::XdpNative)?,
                String::from("as asked for"),
            ),
            HookChoice::XdpGeneric => (
                self.attach_xdp(target, Mechanism::XdpGeneric)?,
                String::from("as asked for"),
            ),
            HookChoice::Tcx => (self.attach_tcx(target, false)?, String::from("as asked for")),
            HookChoice::Clsact => (self.attach_clsact(target, false)?, String::from("as asked for")),
            HookChoice::Tc => self.attach_tc(target, false)?,
        };
        let egress = match choice {
            HookChoice::Tcx => self.attach_tcx(target, true)?,
            HookChoice::Clsact => self.attach_clsact(target, true)?,
            HookChoice::Auto | HookChoice::Xdp | HookChoice::XdpGeneric | HookChoice::Tc => {
                self.attach_tc(target, true)?.0
            }
        };
        Ok(Attachment {
            interface: interface.to_owned(),
            ifindex,
            hooks: [ingress, egress],
            reason,
        })
    }

    /// Ingress by XDP where that costs nobody else anything, else by TC.
    fn automatic(&mut self, target: Target<'_>) -> Result<(Hook, String), AttachError> {
        // XDP on a virtual interface takes segmentation offload from its peer (veth) or sees packets that GRO has
        // joined (everything that has XDP only behind the driver), so its counts would not be those of the wire.
        let driver = Path::new("/sys/class/net")
            .join(target.interface)
            .join("device/driver");
        if !driver.exists() {
            let (hook, tc) = self.attach_tc(target, false)?;
            return Ok((
                hook,
                format!("{} has no hardware driver for XDP; {tc}", target.interface),
            ));
        }
        match self.attach_xdp(target, Mechanism::XdpNative) {
            Ok(hook) => Ok((hook, String::from("the driver accepts XDP"))),
            Err(AttachError::Load(error)) => Err(AttachError::Load(error)),
            Err(error) => {
                let (hook, tc) = self.attach_tc(target, false)?;
                Ok((hook, format!("{}; {tc}", describe(&error))))
            }
        }
    }

    fn attach_xdp(&mut self, target: Target<'_>, mechanism: Mechanism) -> Result<Hook, AttachError> {
        let point = target.point(false);
        let slot = self.register(point)?;
        let mode = match mechanism {
            Mechanism::XdpGeneric => XdpMode::Skb,
            Mechanism::XdpNative | Mechanism::Tcx | Mechanism::Clsact => XdpMode::Driver,
        };
        let program = self.xdp()?;
        let id = program
            .attach_to_if_index(target.ifindex, mode)
            .map_err(|source| target.error(mechanism, source))?;
        let link = program
            .take_link(id)
            .map_err(|source| target.error(mechanism, source))?;
        // Where the kernel has no XDP links, aya attaches by netlink, and that would outlive a killed process.
        let link = FdLink::try_from(link).map_err(|_| AttachError::NoLink {
            interface: target.interface.to_owned(),
        })?;
        Ok(Hook {
            point,
            slot,
            mechanism,
            _link: Link::Descriptor(link),
        })
    }

    /// TCX, else clsact; the reason says which.
    fn attach_tc(&mut self, target: Target<'_>, egress: bool) -> Result<(Hook, String), AttachError> {
        match self.attach_tcx(target, egress) {
            Ok(hook) => Ok((hook, String::from("the kernel has TCX"))),
            Err(AttachError::Load(error)) => Err(AttachError::Load(error)),
            Err(error) => {
                let hook = self.attach_clsact(target, egress)?;
                Ok((hook, describe(&error)))
            }
        }
    }

    /// First in the chain: what another program drops or redirects is seen before.
    fn attach_tcx(&mut self, target: Target<'_>, egress: bool) -> Result<Hook, AttachError> {
        let mechanism = Mechanism::Tcx;
        let point = target.point(egress);
        let slot = self.register(point)?;
        let program = self.classifier(egress)?;
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program
            .attach_with_options(target.interface, attach_type(egress), options)
            .map_err(|source| target.error(mechanism, source))?;
        let link = program
            .take_link(id)
            .map_err(|source| target.error(mechanism, source))?;
        let link = FdLink::try_from(link).map_err(|_| AttachError::NoLink {
            interface: target.interface.to_owned(),
        })?;
        Ok(Hook {
            point,
            slot,
            mechanism,
            _link: Link::Descriptor(link),
        })
    }

    fn attach_clsact(&mut self, target: Target<'_>, egress: bool) -> Result<Hook, AttachError> {
        let mechanism = Mechanism::Clsact;
        let lock = OwnerLock::take(target.ifindex, egress).ok_or_else(|| AttachError::Busy {
            interface: target.interface.to_owned(),
        })?;
        if let Err(source) = qdisc_add_clsact(target.interface)
            && !describe(&source).contains("File exists")
        {
            return Err(AttachError::Qdisc {
                interface: target.interface.to_owned(),
                source: Box::new(source),
            });
        }
        let point = target.point(egress);
        let slot = self.register(point)?;
        let program = self.classifier(egress)?;
        let mut attach = |priority| {
            let options = TcAttachOptions::Netlink(NlOptions {
                priority,
                handle: TcHandle::from(HANDLE),
                classid: None,
            });
            program.attach_with_options(target.interface, attach_type(egress), options)
        };
        let mut attached = attach(PRIORITIES[0]);
        for priority in &PRIORITIES[1..] {
            attached = attached.or_else(|_| attach(*priority));
        }
        let id = attached.map_err(|source| target.error(mechanism, source))?;
        let link = program
            .take_link(id)
            .map_err(|source| target.error(mechanism, source))?;
        Ok(Hook {
            point,
            slot,
            mechanism,
            _link: Link::Filter(link, lock),
        })
    }
}

/// The interface that is being attached to.
#[derive(Clone, Copy)]
struct Target<'a> {
    interface: &'a str,
    ifindex: u32,
}

impl Target<'_> {
    const fn point(self, egress: bool) -> Point {
        Point {
            ifindex: self.ifindex,
            direction: if egress {
                HookDirection::Egress
            } else {
                HookDirection::Ingress
            },
        }
    }

    fn error(self, mechanism: Mechanism, source: ProgramError) -> AttachError {
        AttachError::Attach {
            interface: self.interface.to_owned(),
            mechanism,
            source: Box::new(source),
        }
    }
}

const fn attach_type(egress: bool) -> TcAttachType {
    if egress {
        TcAttachType::Egress
    } else {
        TcAttachType::Ingress
    }
}

/// Removes our clsact filter that a killed process left, whatever hook comes now. Call it with the [`OwnerLock`] held: then a
/// filter with our name is nobody's. None there is the usual case.
fn remove_stale(interface: &str, egress: bool) {
    let name = if egress { program::EGRESS } else { program::INGRESS };
    if qdisc_detach_program(interface, attach_type(egress), name).is_ok() {
        tracing::info!(interface, name, "removed a filter that a killed process left");
    }
}

/// Says that this process owns our clsact filters on an interface: an abstract socket belongs to the network namespace
/// and goes with the process, however that ends.
#[derive(Debug)]
struct OwnerLock(#[allow(dead_code, reason = "held for its drop")] UnixListener);

impl OwnerLock {
    fn take(ifindex: u32, egress: bool) -> Option<Self> {
        let name = format!("lynceus/clsact/{ifindex}/{}", u8::from(egress));
        let address = SocketAddr::from_abstract_name(name).ok()?;
        UnixListener::bind_addr(&address).ok().map(Self)
    }
}

/// Index of an interface in the calling thread's network namespace.
fn index_of(interface: &str) -> io::Result<u32> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, interface)?)
}

/// An error and its causes in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
