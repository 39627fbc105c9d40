//! Notes on logins, mail, files, certificates and what other analyzers said.

use lynceus_model::app::{
    AppEvent, AppRecord, Certificate, File, Ftp, LoginOutcome, Smtp, Software, SshLogin,
};

use super::clean;
use crate::{human, service};

/// A sentence for the events that stand for themselves; `None` for others.
pub(super) fn of(record: &AppRecord) -> Option<String> {
    Some(match &record.event {
        AppEvent::Certificate(certificate) => certificate_note(certificate),
        AppEvent::SshLogin(login) => ssh_note(login),
        AppEvent::Smtp(mail) => smtp_note(mail),
        AppEvent::Ftp(ftp) => ftp_note(ftp),
        AppEvent::Login(login) => {
            let outcome = match login.outcome {
                LoginOutcome::Success => "succeeded",
                LoginOutcome::Failed => "failed",
                LoginOutcome::Confused => "was not understood",
            };
            let user = login.user.as_deref().unwrap_or("an unknown user");
            format!("{} login of {} {outcome}", clean(&login.service), clean(user))
        }
        AppEvent::File(file) => file_note(file),
        AppEvent::Tunnel(tunnel) => format!("{} tunnel, {}", clean(&tunnel.kind), clean(&tunnel.action)),
        AppEvent::Notice(notice) => {
            let by = clean(&notice.analyzer);
            format!("{by} says {}: {}", clean(&notice.name), clean(&notice.message))
        }
        AppEvent::Weird(weird) => match &weird.detail {
            Some(detail) => format!("breaks its protocol: {} ({})", clean(&weird.name), clean(detail)),
            None => format!("breaks its protocol: {}", clean(&weird.name)),
        },
        AppEvent::Software(software) if software.kind == Software::HOST => {
            "was there: it completed a connection".to_owned()
        }
        AppEvent::Software(software) if software.kind == Software::SERVICE => {
            let port = service::port(record.tuple.originator.port, record.tuple.protocol);
            match clean(&software.name) {
                name if name.is_empty() => format!("answers on {port}"),
                name => format!("offers {name} on {port}"),
            }
        }
        AppEvent::Software(software) => {
            let version = software.version.as_deref().unwrap_or("of unknown version");
            let (kind, name) = (clean(&software.kind), clean(&software.name));
            format!("{kind} is {name} {}", clean(version))
        }
        _ => return None,
    })
}

fn certificate_note(certificate: &Certificate) -> String {
    let subject = certificate.common_name.as_deref().unwrap_or(&certificate.subject);
    let trust = match (certificate.self_signed, &certificate.validation) {
        (Some(true), _) => ", signed by itself".to_owned(),
        (_, Some(verdict)) => format!(", chain: {}", clean(verdict)),
        // Nobody looked: that is no trust and no distrust.
        _ => ", chain not checked".to_owned(),
    };
    format!(
        "certificate of {}, issued by {}{trust}",
        clean(subject),
        clean(&certificate.issuer)
    )
}

fn ssh_note(login: &SshLogin) -> String {
    let outcome = match login.success {
        Some(true) => "login succeeded",
        Some(false) => "login failed",
        None => "login, outcome unknown",
    };
    match login.attempts {
        Some(attempts) => format!(
            "SSH {outcome} after {}",
            human::plural(attempts.into(), "attempt", "attempts")
        ),
        None => format!("SSH {outcome}"),
    }
}

fn smtp_note(mail: &Smtp) -> String {
    let mut parts = Vec::new();
    if let Some(helo) = &mail.helo {
        parts.push(format!("HELO {}", clean(helo)));
    }
    match mail.login {
        Some(true) => parts.push("login succeeded".to_owned()),
        Some(false) => parts.push("login failed".to_owned()),
        None => {}
    }
    if let Some(from) = &mail.mail_from {
        let recipients = mail.recipients.len() as u64;
        let to = human::plural(recipients, "recipient", "recipients");
        parts.push(format!("mail from {} to {to}", clean(from)));
    }
    if mail.tls {
        parts.push("goes on encrypted".to_owned());
    }
    if let Some(reply) = &mail.reply {
        let code = mail
            .reply_code
            .map_or_else(String::new, |code| format!("{code} "));
        parts.push(format!("last reply {code}{}", clean(reply)));
    }
    format!("SMTP {}", parts.join(", "))
}

fn ftp_note(ftp: &Ftp) -> String {
    let argument = ftp.argument.as_deref().map(clean).unwrap_or_default();
    let reply = match (ftp.reply_code, &ftp.reply) {
        (Some(code), Some(text)) => format!(" → {code} {}", clean(text)),
        (Some(code), None) => format!(" → {code}"),
        _ => String::new(),
    };
    format!("FTP {} {argument}{reply}", clean(&ftp.command))
}

fn file_note(file: &File) -> String {
    let name = file.name.as_deref().map_or_else(|| "file".to_owned(), clean);
    let mime = file.mime.as_deref().unwrap_or("unknown type");
    let bytes = file.bytes.map_or_else(|| "unknown size".to_owned(), human::bytes);
    format!("{name} by {}: {}, {bytes}", clean(&file.source), clean(mime))
}
