//! Any application record.

use std::net::{IpAddr, Ipv6Addr};

use lynceus_model::app::{
    AppEvent, AppRecord, Arp, Certificate, Dhcp, Discovery, Dns, DnsAnswer, DnsData, File, Ftp, HttpRequest,
    HttpResponse, Login, LoginOutcome, Notice, Smtp, Software, SshBanner, SshKeyExchange, SshLogin,
    TlsClient, TlsServer, TunnelNote, Weird,
};
use lynceus_model::flow::Endpoint;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{community_id, duration, text, time, tuple};

pub(crate) fn app_record() -> impl Strategy<Value = AppRecord> {
    (
        time(),
        tuple(),
        option::of(community_id()),
        any::<bool>(),
        app_event(),
    )
        .prop_map(|(time, tuple, community_id, from_responder, event)| AppRecord {
            time,
            tuple,
            community_id,
            from_responder,
            event,
        })
}

fn app_event() -> impl Strategy<Value = AppEvent> {
    prop_oneof![
        dns().prop_map(AppEvent::Dns),
        tls_client().prop_map(AppEvent::TlsClient),
        tls_server().prop_map(AppEvent::TlsServer),
        http_request().prop_map(AppEvent::HttpRequest),
        http_response().prop_map(AppEvent::HttpResponse),
        text().prop_map(|banner| AppEvent::Ssh(SshBanner { banner })),
        text().prop_map(|hassh| AppEvent::SshKeyExchange(SshKeyExchange { hassh })),
        dhcp().prop_map(AppEvent::Dhcp),
        arp().prop_map(AppEvent::Arp),
        certificate().prop_map(|certificate| AppEvent::Certificate(Box::new(certificate))),
        ssh_login().prop_map(AppEvent::SshLogin),
        smtp().prop_map(AppEvent::Smtp),
        ftp().prop_map(AppEvent::Ftp),
        login().prop_map(AppEvent::Login),
        file().prop_map(|file| AppEvent::File(Box::new(file))),
        (text(), text()).prop_map(|(kind, action)| AppEvent::Tunnel(TunnelNote { kind, action })),
        notice().prop_map(AppEvent::Notice),
        (text(), option::of(text())).prop_map(|(name, detail)| AppEvent::Weird(Weird { name, detail })),
        (text(), text(), option::of(text()))
            .prop_map(|(kind, name, version)| { AppEvent::Software(Software { kind, name, version }) }),
    ]
}

fn dns() -> impl Strategy<Value = Dns> {
    let data = prop_oneof![
        any::<IpAddr>().prop_map(DnsData::Address),
        text().prop_map(DnsData::Name),
        text().prop_map(DnsData::Text),
        Just(DnsData::Other),
    ];
    let answer = (any::<u16>(), any::<u32>(), data).prop_map(|(record_type, ttl, data)| DnsAnswer {
        record_type,
        ttl,
        data,
    });
    let head = (
        any::<u16>(),
        any::<bool>(),
        any::<bool>(),
        text(),
        any::<u16>(),
        any::<u8>(),
    );
    (head, vec(answer, 0..4), any::<bool>(), option::of(duration())).prop_map(
        |((id, response, multicast, name, query_type, rcode), answers, truncated, latency)| Dns {
            id,
            response,
            multicast,
            name,
            query_type,
            rcode,
            answers,
            truncated,
            latency,
        },
    )
}

fn tls_client() -> impl Strategy<Value = TlsClient> {
    (
        any::<bool>(),
        option::of(text()),
        vec(text(), 0..3),
        any::<u16>(),
        text(),
        text(),
    )
        .prop_map(|(quic, server_name, alpn, version, ja3, ja4)| TlsClient {
            quic,
            server_name,
            alpn,
            version,
            ja3,
            ja4,
        })
}

fn tls_server() -> impl Strategy<Value = TlsServer> {
    (
        any::<bool>(),
        any::<u16>(),
        any::<u16>(),
        option::of(text()),
        text(),
    )
        .prop_map(|(quic, version, cipher, alpn, ja3s)| TlsServer {
            quic,
            version,
            cipher,
            alpn,
            ja3s,
        })
}

fn http_request() -> impl Strategy<Value = HttpRequest> {
    (
        text(),
        option::of(text()),
        text(),
        option::of(text()),
        option::of(any::<u64>()),
    )
        .prop_map(|(method, host, uri, user_agent, content_length)| HttpRequest {
            method,
            host,
            uri,
            user_agent,
            content_length,
        })
}

fn http_response() -> impl Strategy<Value = HttpResponse> {
    (
        any::<u16>(),
        option::of(text()),
        option::of(any::<u64>()),
        option::of(text()),
    )
        .prop_map(|(status, mime, content_length, server)| HttpResponse {
            status,
            mime,
            content_length,
            server,
        })
}

fn dhcp() -> impl Strategy<Value = Dhcp> {
    (
        any::<u8>(),
        any::<[u8; 6]>(),
        any::<(Option<IpAddr>, Option<IpAddr>, Option<IpAddr>)>(),
        option::of(text()),
        option::of(text()),
    )
        .prop_map(
            |(message_type, client_mac, (requested, assigned, server), host_name, vendor_class)| Dhcp {
                message_type,
                client_mac,
                requested,
                assigned,
                server,
                host_name,
                vendor_class,
            },
        )
}

fn arp() -> impl Strategy<Value = Arp> {
    let packet = any::<(u16, [u8; 6], IpAddr, [u8; 6], IpAddr, Option<[u8; 6]>)>();
    (packet, option::of(discovery())).prop_map(
        |((operation, sender_mac, sender, target_mac, target, frame_destination), discovery)| Arp {
            operation,
            sender_mac,
            sender,
            target_mac,
            target,
            frame_destination,
            discovery,
        },
    )
}

fn discovery() -> impl Strategy<Value = Discovery> {
    any::<(Ipv6Addr, Ipv6Addr, bool, bool, bool, u64)>().prop_map(
        |(from, to, router, solicited, overrides, link)| Discovery {
            from,
            to,
            router,
            solicited,
            overrides,
            link,
        },
    )
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let texts = (text(), text(), vec(text(), 0..3));
    let options = vec(option::of(text()), 5);
    let times = (option::of(time()), option::of(time()), any::<Option<bool>>());
    (texts, options, times).prop_map(|((subject, issuer, names), mut options, times)| Certificate {
        subject,
        issuer,
        names,
        server_name: options.remove(0),
        common_name: options.remove(0),
        sha1: options.remove(0),
        sha256: options.remove(0),
        validation: options.remove(0),
        not_before: times.0,
        not_after: times.1,
        self_signed: times.2,
    })
}

fn ssh_login() -> impl Strategy<Value = SshLogin> {
    let numbers = any::<(Option<bool>, Option<u32>)>();
    (numbers, option::of(text()), option::of(text())).prop_map(|((success, attempts), client, server)| {
        SshLogin {
            success,
            attempts,
            client,
            server,
        }
    })
}

fn smtp() -> impl Strategy<Value = Smtp> {
    let numbers = any::<(Option<bool>, Option<u16>, bool)>();
    (numbers, vec(option::of(text()), 3), vec(text(), 0..3)).prop_map(
        |((login, reply_code, tls), mut options, recipients)| Smtp {
            helo: options.remove(0),
            mail_from: options.remove(0),
            reply: options.remove(0),
            recipients,
            login,
            reply_code,
            tls,
        },
    )
}

fn ftp() -> impl Strategy<Value = Ftp> {
    let data = option::of((any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| Endpoint { ip, port }));
    (text(), vec(option::of(text()), 3), any::<Option<u16>>(), data).prop_map(
        |(command, mut options, reply_code, data)| Ftp {
            user: options.remove(0),
            argument: options.remove(0),
            reply: options.remove(0),
            command,
            reply_code,
            data,
        },
    )
}

fn login() -> impl Strategy<Value = Login> {
    let outcome = select(vec![
        LoginOutcome::Success,
        LoginOutcome::Failed,
        LoginOutcome::Confused,
    ]);
    (text(), option::of(text()), outcome).prop_map(|(service, user, outcome)| Login {
        service,
        user,
        outcome,
    })
}

fn file() -> impl Strategy<Value = File> {
    let numbers = any::<(Option<u64>, bool)>();
    (text(), vec(option::of(text()), 5), numbers).prop_map(
        |(source, mut options, (bytes, is_certificate))| File {
            source,
            name: options.remove(0),
            mime: options.remove(0),
            md5: options.remove(0),
            sha1: options.remove(0),
            sha256: options.remove(0),
            bytes,
            is_certificate,
        },
    )
}

fn notice() -> impl Strategy<Value = Notice> {
    let texts = (text(), text(), text());
    let options = (option::of(text()), option::of(text()));
    let numbers = any::<(Option<u64>, Option<u8>)>();
    (texts, options, numbers).prop_map(
        |((analyzer, name, message), (detail, category), (signature, severity))| Notice {
            analyzer,
            name,
            message,
            detail,
            signature,
            severity,
            category,
        },
    )
}
