//! A detector in a program of its own: hosts that log in over Telnet, where everybody on the way reads the password.
//!
//! Change `NAME`, `VERSION` and `inspect()` and you have another one; everything else stays as it is.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use v1::from_module::Message as From;
use v1::to_module::Message as To;

#[allow(dead_code, clippy::all, reason = "generated code")]
mod v1 {
    tonic::include_proto!("lynceus.v1");
}

const NAME: &str = "telnet";
const VERSION: &str = "1";

/// Findings about one update of a profile in a window: `flows` and `apps` are what is new.
fn inspect(update: &v1::WindowUpdate) -> Vec<v1::Finding> {
    let profile = update.delta.as_ref().map_or(&[][..], |delta| &delta.profile);
    let flows = update.flows.iter().filter_map(|report| report.flow.as_ref());
    let logins = flows.filter_map(|flow| {
        let tuple = flow.tuple.as_ref()?;
        let telnet = (tuple.protocol, tuple.responder_port) == (6, 23);
        let mine = tuple.originator_ip == profile;
        (mine && telnet && flow.state() == v1::ConnState::Sf).then_some((flow, tuple))
    });
    let finding = |(flow, tuple): (&v1::Flow, &v1::FiveTuple)| v1::Finding {
        profile: profile.to_vec(),
        // One finding for each server in each window, however many flows.
        key: format!("{:?}", tuple.responder_ip),
        threat_level: v1::ThreatLevel::Low.into(),
        confidence: 0.9,
        description: format!(
            "Telnet to {}: passwords travel in the clear.",
            address(&tuple.responder_ip)
        ),
        first: flow.first,
        last: flow.last,
        victim: Some(tuple.responder_ip.clone()),
        dst_port: Some(23),
        protocol: Some(6),
        flows: vec![flow.community_id.clone()],
        ..v1::Finding::default()
    };
    logins.map(finding).collect()
}

fn address(octets: &[u8]) -> String {
    let four = || Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?));
    let six = || Some(IpAddr::from(<[u8; 16]>::try_from(octets).ok()?));
    four().or_else(six).map_or_else(String::new, |ip| ip.to_string())
}

/// What a message of the collector is answered with.
fn answer(message: To) -> Vec<From> {
    match message {
        To::Updates(entry) => {
            let findings = entry.updates.iter().flat_map(inspect).map(From::Finding);
            // Only after its findings: together they become durable.
            let ack = From::Ack(v1::ModuleAck { cursor: entry.cursor });
            findings.chain([ack]).collect()
        }
        To::Welcome(welcome) => {
            println!("attached, goes on after entry {}", welcome.cursor);
            Vec::new()
        }
        To::Gap(gap) => {
            println!("entries {} to {} are gone", gap.first, gap.last);
            Vec::new()
        }
        To::Refused(refused) => {
            println!("finding {} refused: {}", refused.key, refused.reason);
            Vec::new()
        }
    }
}

/// Works until the collector goes away.
async fn attach(collector: &Endpoint) -> Result<(), Box<dyn Error>> {
    let mut client = v1::module_client::ModuleClient::new(collector.connect().await?).max_decoding_message_size(8 << 20);
    let (to, outgoing) = mpsc::channel(16);
    let say = |message| v1::FromModule { message: Some(message) };
    let hello = v1::ModuleHello {
        name: NAME.to_owned(),
        version: VERSION.to_owned(),
        ..v1::ModuleHello::default()
    };
    to.send(say(From::Hello(hello))).await?;
    let mut incoming = client.attach(ReceiverStream::new(outgoing)).await?.into_inner();
    while let Some(message) = incoming.message().await? {
        for message in message.message.map_or_else(Vec::new, answer) {
            to.send(say(message)).await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let collector = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7443".to_owned());
    let collector = Endpoint::from_shared(collector)?;
    loop {
        match attach(&collector).await {
            Ok(()) => println!("the collector ended the stream"),
            Err(error) => println!("{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(port: u32, state: v1::ConnState) -> v1::WindowUpdate {
        let tuple = v1::FiveTuple {
            originator_ip: vec![10, 0, 0, 5],
            originator_port: 40_000,
            responder_ip: vec![198, 51, 100, 7],
            responder_port: port,
            protocol: 6,
        };
        let flow = v1::Flow {
            tuple: Some(tuple),
            community_id: vec![0; 20],
            state: state.into(),
            first: 1_000_000_000,
            last: 2_000_000_000,
            ..v1::Flow::default()
        };
        v1::WindowUpdate {
            delta: Some(v1::ProfileDelta {
                profile: vec![10, 0, 0, 5],
                ..v1::ProfileDelta::default()
            }),
            flows: vec![v1::FlowUpdate {
                flow: Some(flow),
                ..v1::FlowUpdate::default()
            }],
            ..v1::WindowUpdate::default()
        }
    }

    #[test]
    fn a_login_is_a_finding_and_other_traffic_is_none() {
        let found = inspect(&update(23, v1::ConnState::Sf));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].description, "Telnet to 198.51.100.7: passwords travel in the clear.");
        assert!(inspect(&update(443, v1::ConnState::Sf)).is_empty());
        assert!(inspect(&update(23, v1::ConnState::S0)).is_empty());
    }

    #[test]
    fn findings_come_before_their_acknowledgement() {
        let entry = v1::ModuleUpdates {
            cursor: 7,
            updates: vec![update(23, v1::ConnState::Sf), update(80, v1::ConnState::Sf)],
            ..v1::ModuleUpdates::default()
        };
        let said = answer(To::Updates(entry));
        assert!(matches!(said[..], [From::Finding(_), From::Ack(v1::ModuleAck { cursor: 7 })]));
    }
}
