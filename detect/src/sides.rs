//! Who opened a flow: what a capture shows first may be an answer.

use lynceus_model::flow::{ConnState, Endpoint, Flow, Totals};

use crate::services::{TCP, listens};

/// Client and server. `None` if nothing shows which one opened the flow, or if it answers a question that was not seen:
/// because the capture began later, sees one side only, or comes from a log with one line for each direction. Then the
/// first packet came from a port with a service to one without, or neither has one and TCP was seen without its begin.
pub(crate) fn opened(flow: &Flow) -> Option<(Endpoint, Endpoint)> {
    let (client, server) = flow.client_server();
    let protocol = flow.tuple.protocol;
    let listens = |port| listens(port, protocol).is_some();
    // Of flags that were ORed over a flow both sides have a SYN: only the ports tell.
    let counted = |side: &Totals| side.flag_counts != [0; 8];
    let told = counted(&flow.out) || counted(&flow.back) || !listens(client.port);
    let begun = match protocol {
        TCP => begin_seen(flow) && told,
        _ => !listens(client.port),
    };
    (begun || listens(server.port)).then_some((client, server))
}

/// Whether the client's SYN of a TCP flow was seen; where no flags are known, what the state says.
pub(crate) fn begin_seen(flow: &Flow) -> bool {
    const SYN: u8 = 2;
    match sent(flow).tcp_flags {
        0 => flow.state != ConnState::Oth,
        flags => flags & SYN != 0,
    }
}

/// Whether the server's SYN of a TCP flow was seen, where flags are known: without it the first bytes of the server may
/// be missing, too.
pub(crate) const fn answer_seen(flow: &Flow) -> bool {
    const SYN: u8 = 2;
    let back = if flow.roles_turned() {
        &flow.out
    } else {
        &flow.back
    };
    back.tcp_flags == 0 || back.tcp_flags & SYN != 0
}

/// What the client sent.
const fn sent(flow: &Flow) -> &Totals {
    if flow.roles_turned() {
        &flow.back
    } else {
        &flow.out
    }
}
