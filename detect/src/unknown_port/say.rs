//! What is said of a connection to an unknown port.

use std::net::IpAddr;

use lynceus_model::address::is_private;
use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::Service;
use lynceus_model::words::plural;

use super::{Content, Target, Tried};
use crate::ProfileUpdate;
use crate::report::{With, at_least, feature, grown, protocol_name};

/// Protocol whose decoder read a message.
pub(super) fn content(event: &AppEvent) -> Option<Content> {
    let is_name = |name: &Option<String>| {
        // `Host` may have a port; an IPv6 address stands in brackets.
        let host = name.as_deref().unwrap_or_default().trim_start_matches('[');
        let host = host.split([']', ':']).next().unwrap_or_default();
        host.contains(|letter: char| letter.is_ascii_alphabetic()) && host.contains('.')
    };
    let (service, named) = match event {
        AppEvent::Dns(dns) if !dns.multicast => (Service::Dns, false),
        AppEvent::TlsClient(hello) if hello.quic => (Service::Quic, is_name(&hello.server_name)),
        AppEvent::TlsClient(hello) => (Service::Tls, is_name(&hello.server_name)),
        AppEvent::TlsServer(_) | AppEvent::Certificate(_) => (Service::Tls, false),
        AppEvent::HttpRequest(request) => (Service::Http, is_name(&request.host)),
        AppEvent::HttpResponse(_) => (Service::Http, false),
        AppEvent::Ssh(_) | AppEvent::SshKeyExchange(_) => (Service::Ssh, false),
        AppEvent::Smtp(_) => (Service::Smtp, false),
        AppEvent::Ftp(_) => (Service::Ftp, false),
        _ => return None,
    };
    Some(Content { service, named })
}

/// `announced`: the server described itself to its network.
pub(super) fn connection(
    update: &ProfileUpdate<'_>,
    (ip, port, protocol): (IpAddr, u16, u8),
    target: &Target,
    announced: bool,
) -> Evidence {
    let source = update.profile.window.profile;
    let name = protocol_name(protocol);
    let (level, state) = match (target.established, target.content) {
        // A known protocol on an odd port of an own device, or of a server with a name, is usual.
        (_, Some(content)) if content.named || is_private(ip) => (ThreatLevel::Low, "connected to"),
        (_, Some(_)) => (ThreatLevel::Medium, "connected to"),
        (true, None) if target.stream => (ThreatLevel::Low, "exchanged a stream with"),
        (true, None) if announced => (ThreatLevel::Low, "connected to"),
        (true, None) => (ThreatLevel::High, "connected to"),
        // Nobody answered, and nobody asked again.
        (false, None) if target.tally.count == 1 => (ThreatLevel::Low, "tried"),
        (false, None) => (ThreatLevel::Medium, "tried"),
    };
    let count = target.tally.count;
    let content = target.content.map_or_else(
        || "Nothing is known of the content".to_owned(),
        |content| format!("The content is {}", crate::port_content::content(content.service)),
    );
    Evidence {
        victim: Some(ip),
        dst_port: Some(port),
        protocol: Some(protocol),
        threat_level: level,
        confidence: Confidence::new(1.0),
        description: format!("Connection to an unknown port: {source} {state} {ip} port {port}/{name}."),
        explanation: Explanation {
            features: vec![feature("flows", count as f64, "flows").threshold(1.0)],
            text: format!(
                "No service is known on {port}/{name}; {}{} went there. {content}. Not a call, not peer-to-peer, \
                 not a file transfer that FTP announced, and the host did not scan.",
                at_least(update),
                plural(count, "flow", "flows")
            ),
        },
        ..grown(
            update,
            EvidenceType::UnknownPort,
            &format!("{ip}/{port}/{protocol}"),
            &target.tally,
        )
    }
}

/// All that a stranger tried on one host in vain.
pub(super) fn stranger(update: &ProfileUpdate<'_>, ip: IpAddr, tried: &Tried) -> Evidence {
    const NAMED: usize = 10;
    let source = update.profile.window.profile;
    let names = tried
        .ports
        .iter()
        .take(NAMED)
        .map(|(protocol, port)| format!("{port}/{}", protocol_name(*protocol)));
    let ports = names.collect::<Vec<_>>().join(", ");
    let more = if tried.ports.len() > NAMED {
        " and others"
    } else {
        ""
    };
    let only = tried.ports.first().filter(|_| tried.ports.len() == 1);
    let count = tried.tally.count;
    Evidence {
        victim: Some(ip),
        dst_port: only.map(|(_, port)| *port),
        protocol: only.map(|(protocol, _)| *protocol),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(1.0),
        description: format!(
            "A stranger on the Internet tried unknown ports in vain: {source} tried {ip} port {ports}{more}."
        ),
        explanation: Explanation {
            features: vec![
                feature("unknown ports", tried.ports.len() as f64, "ports").threshold(1.0),
                feature("flows", count as f64, "flows"),
            ],
            text: format!(
                "{}{} from outside to ports of {ip} on which no service is known; none came about. Every host \
                 that the Internet can reach is tried like this; enough ports make a scan.",
                at_least(update),
                plural(count, "flow", "flows")
            ),
        },
        ..grown(
            update,
            EvidenceType::UnknownPort,
            &format!("stranger/{ip}"),
            &tried.tally,
        )
    }
}
