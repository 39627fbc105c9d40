use lynceus_model::app::{Ftp, LoginOutcome, Smtp};
use lynceus_model::flow::Endpoint;
use proptest::prelude::*;

use super::*;

const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

fn mail(turns: &[(bool, &str)]) -> Vec<Smtp> {
    let (mut session, mut told) = (smtp::Session::default(), Vec::new());
    for (client, bytes) in turns {
        if *client {
            session.client(bytes.as_bytes());
        } else {
            session.server(bytes.as_bytes(), |event| told.push(event));
        }
    }
    told
}

fn files(turns: &[(bool, &str)]) -> Vec<Ftp> {
    let (mut session, mut told) = (ftp::Session::default(), Vec::new());
    for (client, bytes) in turns {
        if *client {
            session.client(bytes.as_bytes());
        } else {
            session.server(bytes.as_bytes(), SERVER, |event| told.push(event));
        }
    }
    told
}

fn telnet(turns: &[(bool, &[u8])]) -> Vec<(Option<String>, LoginOutcome)> {
    let (mut session, mut told) = (telnet::Session::default(), Vec::new());
    for (client, bytes) in turns {
        if *client {
            session.client(bytes);
        } else if let Some(login) = session.server(bytes) {
            told.push((login.user, login.outcome));
        }
    }
    told
}

#[test]
fn a_mail_with_pipelined_commands() {
    let told = mail(&[
        (false, "220 mail.example ESMTP\r\n"),
        (true, "EHLO client.example\r\n"),
        (false, "250-mail.example\r\n250-PIPELINING\r\n250 STARTTLS\r\n"),
        (
            true,
            "MAIL FROM:<a@client.example> SIZE=9\r\nRCPT TO:<b@mail.example>\r\nRCPT TO:<c@mail.example>\r\nDATA\r\n",
        ),
        (
            false,
            "250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n354 go on\r\n",
        ),
        (true, "Subject: x\r\n\r\nRCPT TO:<nobody@example>\r\n.\r\n"),
        (false, "250 queued\r\n"),
        (true, "QUIT\r\n"),
        (false, "221 bye\r\n"),
    ]);
    assert_eq!(told.len(), 5);
    assert!(
        told.iter()
            .all(|event| event.helo.as_deref() == Some("client.example"))
    );
    assert_eq!(told[1].mail_from.as_deref(), Some("a@client.example"));
    assert_eq!(told[3].recipients, ["c@mail.example"]);
    assert_eq!(
        (told[3].reply_code, told[3].reply.as_deref()),
        (Some(550), Some("5.1.1 no such user"))
    );
    assert!(told.iter().all(|event| event.login.is_none() && !event.tls));
}

#[test]
fn logins_to_mail_servers() {
    let told = mail(&[
        (true, "AUTH LOGIN\r\n"),
        (false, "334 VXNlcm5hbWU6\r\n"),
        (true, "QUIT\r\n"),
        (false, "334 UGFzc3dvcmQ6\r\n"),
        (true, "c2VjcmV0\r\n"),
        (false, "535 5.7.8 authentication failed\r\n"),
        (true, "AUTH PLAIN AGEAYg==\r\n"),
        (false, "235 ok\r\n"),
        (true, "AUTH GSSAPI\r\n"),
        (false, "504 unknown mechanism\r\n"),
        (true, "STARTTLS\r\n"),
        (false, "220 ready\r\n"),
    ]);
    let logins: Vec<_> = told.iter().map(|event| event.login).collect();
    assert_eq!(logins, [Some(false), Some(true), None, None]);
    assert!(told[3].tls);
    assert!(
        !format!("{told:?}").contains("AGEAYg"),
        "secrets stay with their owner"
    );
}

#[test]
fn files_and_where_they_go() {
    let told = files(&[
        (false, "220-Welcome\r\n220 ready\r\n"),
        (true, "USER anonymous\r\n"),
        (false, "331 password\r\n"),
        (true, "PASS secret\r\n"),
        (false, "230 in\r\n"),
        (true, "PASV\r\n"),
        (false, "227 Entering Passive Mode (192,0,2,2,4,1).\r\n"),
        (true, "RETR file\r\n"),
        (false, "150 opening\r\n226 done\r\n"),
        (true, "EPSV\r\n"),
        (false, "229 Entering Extended Passive Mode (|||50000|)\r\n"),
        (true, "PORT 198,51,100,1,200,10\r\n"),
        (false, "200 ok\r\n"),
        (true, "EPRT |2|2001:db8::1|1025|\r\n"),
        (false, "200 ok\r\n"),
        (true, "PORT 198,51,100,1,200\r\n"),
        (false, "500 what\r\n"),
    ]);
    let data: Vec<_> = told.iter().filter_map(|event| event.data).collect();
    let to = |ip: &str, port| Endpoint {
        ip: ip.parse().unwrap(),
        port,
    };
    assert_eq!(
        data,
        [
            to("192.0.2.2", 1025),
            to("192.0.2.2", 50_000),
            to("198.51.100.1", 51_210),
            to("2001:db8::1", 1025),
        ]
    );
    assert_eq!(
        (told[1].command.as_str(), told[1].reply_code),
        ("PASS", Some(230))
    );
    assert_eq!(told[1].argument, None);
    assert_eq!(
        (told[3].argument.as_deref(), told[3].reply_code),
        (Some("file"), Some(226))
    );
    assert!(
        told.iter()
            .all(|event| event.user.as_deref() == Some("anonymous"))
    );
    assert_eq!(told.len(), 8);
}

#[test]
fn telnet_logins_by_character_and_by_line() {
    let told = telnet(&[
        (false, b"\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0router login: "),
        (true, b"\xff\xfb\x18a"),
        (false, b"a"),
        (true, b"dx\x7fmin\r\0"),
        (false, b"dmin\r\nPassword: "),
        (true, b"1234\r\n"),
        (false, b"\r\nLogin incorrect\r\nrouter login: "),
        (true, b"root\r\n"),
        (false, b"Password: "),
        (true, b"xc3511\r\n"),
        (false, b"\r\n"),
        (false, b"\r\nBusyBox v1.2 built-in shell\r\n# "),
    ]);
    assert_eq!(
        told,
        [
            (Some("admin".into()), LoginOutcome::Failed),
            (Some("root".into()), LoginOutcome::Success),
        ]
    );
    let odd = vec![b'.'; 2000];
    let told = telnet(&[(false, b"Password:"), (true, b"x\r\n"), (false, &odd)]);
    assert_eq!(told, [(None, LoginOutcome::Confused)]);
    let told = telnet(&[
        (false, b"Password:"),
        (true, b"x\r\n"),
        (false, b"Last login: Mon\r\n$ "),
        (true, b"ls\r\n"),
        (false, b"failed\r\n$ "),
    ]);
    assert_eq!(told, [(None, LoginOutcome::Success)]);
}

proptest! {
    #[test]
    fn never_panic(turns in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..40)) {
        let (mut mail, mut files, mut typed) =
            (smtp::Session::default(), ftp::Session::default(), telnet::Session::default());
        for (client, bytes) in &turns {
            if *client {
                mail.client(bytes);
                files.client(bytes);
                typed.client(bytes);
            } else {
                mail.server(bytes, |_| {});
                files.server(bytes, SERVER, |_| {});
                typed.server(bytes);
            }
        }
    }

    #[test]
    fn arguments_never_panic(argument in "[0-9,|():a-f ]{0,40}") {
        let (ask, answer) = (format!("PORT {argument}\r\nEPRT {argument}\r\nEPSV\r\n"), format!("200 x\r\n200 x\r\n229 {argument}\r\n"));
        files(&[(true, &ask), (false, &answer)]);
        mail(&[(true, &format!("MAIL FROM:{argument}\r\n")), (false, "250 x\r\n")]);
    }
}

/// Payload heads are cut: the last line of a long welcome may not be there.
#[test]
fn a_long_reply_without_its_end_shifts_no_other() {
    let told = files(&[
        (true, "USER anonymous\r\n"),
        (false, "331 ok\r\n"),
        (true, "PASS x\r\n"),
        (false, "230-\r\n  500 lines of welcome\r\n226 of them are\r\n"),
        (true, "EPSV\r\n"),
        (false, "229 Entering Extended Passive Mode (|||57086|)\r\n"),
    ]);
    let codes: Vec<(&str, Option<u16>)> = told
        .iter()
        .map(|ftp| (ftp.command.as_str(), ftp.reply_code))
        .collect();
    assert_eq!(
        codes,
        [("USER", Some(331)), ("PASS", Some(230)), ("EPSV", Some(229))]
    );
    let data = Endpoint {
        ip: SERVER,
        port: 57_086,
    };
    assert_eq!(told[2].data, Some(data));
}
