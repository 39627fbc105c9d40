//! Messages with any text in them: no detector panics, and what it says is bounded and can be shown.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_detect::context::{AutonomousSystem, Indicator, Knowledge, Listing, Network};
use lynceus_detect::{Context, DetectConfig, History, ProfileUpdate, Registry};
use lynceus_model::app::{
    AppEvent, AppRecord, Certificate, Dns, DnsAnswer, DnsData, File, Ftp, HttpRequest, HttpResponse, Login,
    LoginOutcome, Notice, Smtp, Software, SshBanner, SshLogin, TlsClient, TlsServer, TunnelNote, Weird,
};
use lynceus_model::evidence::{Evidence, ThreatLevel};
use lynceus_model::flow::{CommunityId, Endpoint, FiveTuple};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId};
use proptest::prelude::*;

/// Lists everything, knows everybody: so every text is written.
#[derive(Debug)]
struct Everything(String);

impl Knowledge for Everything {
    fn autonomous_system(&self, _: IpAddr) -> Option<AutonomousSystem> {
        Some(AutonomousSystem {
            number: 64_500,
            name: self.0.clone(),
        })
    }

    fn vendor(&self, _: [u8; 6]) -> Option<String> {
        Some(format!("Apple {}", self.0))
    }

    fn domain_age(&self, _: &str, _: i64) -> Option<u32> {
        Some(1)
    }

    fn jarm(&self, _: Endpoint) -> Option<String> {
        Some(self.0.clone())
    }

    fn listed(&self, _: Indicator<'_>) -> Option<Vec<Listing>> {
        Some(vec![Listing {
            feed: self.0.clone(),
            level: ThreatLevel::High,
            description: self.0.clone(),
            tags: vec![self.0.clone(); 3],
            wider: Some(self.0.clone()),
        }])
    }
}

/// Names, names with escapes and odd labels, words that detectors look for, and anything at all.
fn text() -> impl Strategy<Value = String> {
    let words = [
        "jndi",
        "?lat=1.2345&lon=2.3456",
        "a.b.google.com",
        "*.google.com",
        "CN=*.google.com,O=Google LLC",
        "Mac OS X",
        "Windows NT",
        "pastebin.com",
        "SSH-2.0-OpenSSH_9.1",
        "535 bad smtp-auth user",
        "application/x-dosexec",
        "..",
        "\\200\\200.example.com",
        "self signed certificate",
        "unknown_HTTP_method",
        "SSH::CLIENT",
        "PASS",
        "1.1.1.1",
    ];
    prop_oneof![
        3 => ".{0,40}",
        2 => "[a-z0-9.\\\\-]{0,300}",
        1 => "\\PC{300,600}",
        1 => "[\\x00-\\x1f\\x7f-\\x9f.]{0,20}",
        3 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
    ]
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ]
}

fn event() -> impl Strategy<Value = AppEvent> {
    let texts = (text(), text(), text(), text());
    let numbers = (any::<u16>(), any::<bool>(), any::<bool>(), address());
    (0..17_u8, texts, numbers).prop_map(|(kind, (a, b, c, d), (number, yes, no, ip))| match kind {
        0 | 1 => AppEvent::Dns(Dns {
            response: yes,
            multicast: no,
            name: a,
            query_type: number,
            rcode: (number % 4) as u8,
            answers: [
                DnsData::Name(b),
                DnsData::Text(c),
                DnsData::Address(ip),
                DnsData::Other,
            ]
            .into_iter()
            .map(|data| DnsAnswer {
                record_type: number,
                ttl: 0,
                data,
            })
            .collect(),
            ..Dns::default()
        }),
        2 => AppEvent::TlsClient(TlsClient {
            server_name: Some(a),
            ja3: b,
            ja4: c,
            ..TlsClient::default()
        }),
        3 => AppEvent::TlsServer(TlsServer {
            ja3s: a,
            ..TlsServer::default()
        }),
        4 | 5 => AppEvent::HttpRequest(HttpRequest {
            method: a,
            host: Some(b),
            uri: c,
            user_agent: Some(d),
            content_length: None,
        }),
        6 => AppEvent::HttpResponse(HttpResponse {
            status: number % 600,
            mime: Some(a),
            content_length: Some(u64::MAX),
            server: Some(b),
        }),
        7 => AppEvent::Ssh(SshBanner { banner: a }),
        8 => AppEvent::Certificate(Box::new(Certificate {
            server_name: Some(a),
            subject: b,
            common_name: Some(c),
            names: vec![d.clone()],
            sha1: Some(d.clone()),
            self_signed: yes.then_some(no),
            validation: Some(d),
            ..Certificate::default()
        })),
        9 => AppEvent::SshLogin(SshLogin {
            success: yes.then_some(no),
            attempts: Some(u32::MAX),
            client: Some(a),
            server: Some(b),
        }),
        10 => AppEvent::Smtp(Smtp {
            reply: Some(a),
            reply_code: yes.then_some(535),
            ..Smtp::default()
        }),
        11 => AppEvent::Ftp(Ftp {
            command: a,
            reply_code: Some(530),
            ..Ftp::default()
        }),
        12 => AppEvent::Login(Login {
            service: a,
            user: Some(b),
            outcome: LoginOutcome::Failed,
        }),
        13 => AppEvent::File(Box::new(File {
            source: "HTTP".to_owned(),
            mime: Some(a),
            md5: Some(b),
            sha1: Some(c),
            bytes: Some(u64::MAX),
            is_certificate: yes,
            ..File::default()
        })),
        14 => AppEvent::Notice(Notice {
            analyzer: a,
            name: b,
            message: c,
            ..Notice::default()
        }),
        15 => AppEvent::Weird(Weird {
            name: a,
            detail: Some(b),
        }),
        _ if yes => AppEvent::Software(Software {
            kind: a,
            name: b,
            version: Some(c),
        }),
        _ => AppEvent::Tunnel(TunnelNote { kind: a, action: b }),
    })
}

fn record(event: AppEvent, (time, peer, port, back): (i64, IpAddr, u16, bool)) -> AppRecord {
    let end = |ip, port| Endpoint { ip, port };
    AppRecord {
        time: Timestamp(time),
        tuple: FiveTuple {
            originator: end(PROFILE, 40_000),
            responder: end(peer, port),
            protocol: 6,
        },
        community_id: Some(CommunityId([port as u8; 20])),
        from_responder: back,
        event,
    }
}

const PROFILE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_message_is_taken(
        known in text(),
        messages in prop::collection::vec((event(), (any::<i64>(), address(), any::<u16>(), any::<bool>())), 1..60),
        twice in any::<bool>(),
    ) {
        let context = Context {
            network: Arc::new(Network::default()),
            knowledge: Arc::new(Everything(known)),
        };
        let mut registry = Registry::new(&DetectConfig::default(), &context);
        let window = WindowId { profile: PROFILE, start: Timestamp(0) };
        let mut profile = ProfileDelta::new(window);
        profile.saw(Timestamp(0), Timestamp(0).saturating_add(Duration::from_secs(60)));
        let apps: Vec<AppRecord> = messages.into_iter().map(|(event, place)| record(event, place)).collect();
        for stage in [Stage::Refreshed, Stage::Closed] {
            let update = ProfileUpdate {
                sensor: SensorId([1; 16]),
                profile: &profile,
                delta: &profile,
                number: 1,
                stage,
                flows: &[],
                apps: if stage == Stage::Closed && !twice { &[] } else { &apps },
            };
            let mut found = registry.inspect(&update, &History::default());
            found.extend(registry.tick(Timestamp(i64::MAX)));
            found.iter().try_for_each(can_be_shown)?;
        }
    }
}

fn can_be_shown(evidence: &Evidence) -> Result<(), TestCaseError> {
    let texts = [
        Some(&evidence.description),
        Some(&evidence.explanation.text),
        evidence.subject.as_ref(),
    ];
    for text in texts.into_iter().flatten() {
        prop_assert!(text.chars().count() < 3_000, "{}: {text}", evidence.kind.name());
        prop_assert!(
            !text.chars().any(char::is_control),
            "{}: {text:?}",
            evidence.kind.name()
        );
    }
    prop_assert!(evidence.flows.len() <= Evidence::MAX_FLOWS);
    prop_assert!(evidence.first <= evidence.last);
    prop_assert!(
        evidence
            .explanation
            .features
            .iter()
            .all(|feature| feature.value.is_finite())
    );
    Ok(())
}
