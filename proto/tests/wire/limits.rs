//! Every list and text has a limit on arrival, and what we send is cut to it.

use lynceus_model::app::{AppEvent, AppRecord, Dns, DnsAnswer, DnsData, SshBanner};
use lynceus_model::flow::{Endpoint, FiveTuple};
use lynceus_model::time::Timestamp;
use lynceus_proto::{Problem, limits, v1};

fn record(event: AppEvent) -> AppRecord {
    let end = Endpoint {
        ip: [192, 0, 2, 1].into(),
        port: 22,
    };
    AppRecord {
        time: Timestamp(0),
        tuple: FiveTuple {
            originator: end,
            responder: end,
            protocol: 6,
        },
        community_id: None,
        from_responder: false,
        event,
    }
}

#[test]
fn a_long_text_is_cut_by_the_sender_and_refused_by_the_receiver() {
    let banner = "é".repeat(limits::TEXT);
    let wire = v1::AppRecord::from(record(AppEvent::Ssh(SshBanner {
        banner: banner.clone(),
    })));
    let AppEvent::Ssh(cut) = AppRecord::try_from(wire.clone()).unwrap().event else {
        panic!("another event came back")
    };
    assert_eq!(cut.banner.len(), limits::TEXT);

    let long = v1::AppRecord {
        event: Some(v1::app_record::Event::Ssh(v1::Ssh { banner })),
        ..wire
    };
    let error = AppRecord::try_from(long).unwrap_err();
    assert_eq!(error.field, "ssh.banner");
    assert_eq!(
        error.problem,
        Problem::TooMany {
            length: 2 * limits::TEXT,
            limit: limits::TEXT
        }
    );
}

#[test]
fn too_many_answers_are_cut_and_the_message_says_so() {
    let answer = DnsAnswer {
        record_type: 1,
        ttl: 5,
        data: DnsData::Other,
    };
    let dns = Dns {
        answers: vec![answer; limits::DNS_ANSWERS + 1],
        ..Dns::default()
    };
    let AppEvent::Dns(received) = AppRecord::try_from(v1::AppRecord::from(record(AppEvent::Dns(dns))))
        .unwrap()
        .event
    else {
        panic!("another event came back")
    };
    assert_eq!(received.answers.len(), limits::DNS_ANSWERS);
    assert!(received.truncated);
}

#[test]
fn long_lists_are_refused() {
    let flow = v1::Flow {
        vlan: vec![1; limits::VLANS + 1],
        tuple: Some(v1::FiveTuple {
            originator_ip: vec![0; 4],
            responder_ip: vec![0; 4],
            ..v1::FiveTuple::default()
        }),
        community_id: vec![0; 20],
        state: 1,
        ..v1::Flow::default()
    };
    let error = lynceus_model::flow::Flow::try_from(flow).unwrap_err();
    assert_eq!(error.field, "vlan");
}
