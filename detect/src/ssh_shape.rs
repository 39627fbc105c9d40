//! SSH as flows show it, where nobody read whether the login succeeded.

use std::time::Duration;

use lynceus_model::flow::{Flow, FlowEnd, FlowUpdate, Service};

const PORT: u16 = 22;
const TCP: u8 = 6;

/// An SSH flow that is over and came about: by content, or by port where nobody looked.
pub(crate) fn finished(report: &FlowUpdate) -> bool {
    let flow = &report.flow;
    let ssh = match flow.service {
        Service::Ssh => true,
        Service::Unseen => flow.client_server().1.port == PORT,
        _ => false,
    };
    ssh && flow.tuple.protocol == TCP && flow.established() && report.end != FlowEnd::Active
}

/// A session in which passwords were tried in vain. Both sides exchanged keys (1,000 bytes and more each), little came
/// after that, and it took longer than a script that gets in, because servers let a wrong password wait; no longer than
/// the usual grace time of two minutes.
pub(crate) fn looks_refused(flow: &Flow) -> bool {
    let (out, back) = (flow.out.bytes, flow.back.bytes);
    let long = flow.duration();
    out >= 1_000
        && back >= 1_000
        && out + back <= MAX_REFUSED_BYTES
        && long >= Duration::from_secs(2)
        && long <= Duration::from_secs(125)
}

/// IP bytes of both sides. Exchanging keys takes 4 to 6 kB with the clients of today, each password some 100 bytes.
pub(crate) const MAX_REFUSED_BYTES: u64 = 10_000;
