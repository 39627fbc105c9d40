//! Who opened a flow: what a capture shows first may be an answer.

use lynceus_model::flow::{ConnState, Endpoint, Flow};

use crate::services::{TCP, listens};

/// Client and server. `None` if the first packet seen came from a port with a service to one without, and nothing shows
/// that it opened the flow: then it answers a question that was not seen, because the capture began later, sees one side
/// only, or comes from a log with one line for each direction.
pub(crate) fn opened(flow: &Flow) -> Option<(Endpoint, Endpoint)> {
    const SYN: u8 = 2;
    let (client, server) = flow.client_server();
    let protocol = flow.tuple.protocol;
    let known = |port| listens(port, protocol).is_some();
    if !known(client.port) || known(server.port) {
        return Some((client, server));
    }
    let sent = if flow.roles_turned() {
        &flow.back
    } else {
        &flow.out
    };
    let opens = match (protocol, sent.tcp_flags) {
        // No flags are known: the state says whether the beginning was seen.
        (TCP, 0) => flow.state != ConnState::Oth && (flow.back.packets > 0 || flow.state != ConnState::Sf),
        (TCP, flags) => flags & SYN != 0,
        _ => false,
    };
    opens.then_some((client, server))
}
