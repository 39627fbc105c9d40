//! Who opened a flow: what a capture shows first may be an answer.

use lynceus_model::flow::{ConnState, Endpoint, Flow};

use crate::services::{TCP, listens};

/// Client and server. `None` if nothing shows which one opened the flow, or if it answers a question that was not seen:
/// because the capture began later, sees one side only, or comes from a log with one line for each direction. Then the
/// first packet came from a port with a service to one without, or neither has one and TCP was seen without its begin.
pub(crate) fn opened(flow: &Flow) -> Option<(Endpoint, Endpoint)> {
    const SYN: u8 = 2;
    let (client, server) = flow.client_server();
    let protocol = flow.tuple.protocol;
    let listens = |port| listens(port, protocol).is_some();
    let sent = if flow.roles_turned() {
        &flow.back
    } else {
        &flow.out
    };
    let begun = match (protocol, sent.tcp_flags) {
        // No flags are known: the state says whether the begin was seen.
        (TCP, 0) => {
            let one_way = flow.back.packets == 0 && flow.state == ConnState::Sf;
            flow.state != ConnState::Oth && !(one_way && listens(client.port))
        }
        (TCP, flags) => flags & SYN != 0,
        _ => !listens(client.port),
    };
    (begun || listens(server.port)).then_some((client, server))
}
