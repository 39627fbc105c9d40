//! Sessions, certificates and files on the wire.

use lynceus_model::app::{
    Certificate, File, Ftp, Login, LoginOutcome, Notice, Smtp, Software, SshLogin, TunnelNote, Weird,
};
use lynceus_model::flow::Endpoint;
use lynceus_model::time::Timestamp;

use crate::field::{
    Checked, Invalid, address, address_bytes, cut_text, limits, list, narrow, optional_text, text,
    unknown_number,
};
use crate::v1;

impl TryFrom<v1::Certificate> for Certificate {
    type Error = Invalid;

    fn try_from(wire: v1::Certificate) -> Checked<Self> {
        Ok(Self {
            server_name: optional_text("server_name", wire.server_name)?,
            subject: text("subject", wire.subject)?,
            issuer: text("issuer", wire.issuer)?,
            common_name: optional_text("common_name", wire.common_name)?,
            names: list("names", wire.names, limits::CERTIFICATE_NAMES, |name| {
                text("name", name)
            })?,
            not_before: wire.not_before.map(Timestamp),
            not_after: wire.not_after.map(Timestamp),
            sha1: optional_text("sha1", wire.sha1)?,
            sha256: optional_text("sha256", wire.sha256)?,
            self_signed: wire.self_signed,
            validation: optional_text("validation", wire.validation)?,
        })
    }
}

impl From<Certificate> for v1::Certificate {
    fn from(certificate: Certificate) -> Self {
        let names = certificate.names.into_iter().take(limits::CERTIFICATE_NAMES);
        Self {
            server_name: certificate.server_name.map(cut_text),
            subject: cut_text(certificate.subject),
            issuer: cut_text(certificate.issuer),
            common_name: certificate.common_name.map(cut_text),
            names: names.map(cut_text).collect(),
            not_before: certificate.not_before.map(|time| time.0),
            not_after: certificate.not_after.map(|time| time.0),
            sha1: certificate.sha1.map(cut_text),
            sha256: certificate.sha256.map(cut_text),
            self_signed: certificate.self_signed,
            validation: certificate.validation.map(cut_text),
        }
    }
}

impl TryFrom<v1::SshLogin> for SshLogin {
    type Error = Invalid;

    fn try_from(wire: v1::SshLogin) -> Checked<Self> {
        Ok(Self {
            success: wire.success,
            attempts: wire.attempts,
            client: optional_text("client", wire.client)?,
            server: optional_text("server", wire.server)?,
        })
    }
}

impl From<SshLogin> for v1::SshLogin {
    fn from(login: SshLogin) -> Self {
        Self {
            success: login.success,
            attempts: login.attempts,
            client: login.client.map(cut_text),
            server: login.server.map(cut_text),
        }
    }
}

impl TryFrom<v1::Smtp> for Smtp {
    type Error = Invalid;

    fn try_from(wire: v1::Smtp) -> Checked<Self> {
        Ok(Self {
            helo: optional_text("helo", wire.helo)?,
            mail_from: optional_text("mail_from", wire.mail_from)?,
            recipients: list("recipients", wire.recipients, limits::RECIPIENTS, |address| {
                text("recipient", address)
            })?,
            login: wire.login,
            reply_code: wire
                .reply_code
                .map(|code| narrow("reply_code", code))
                .transpose()?,
            reply: optional_text("reply", wire.reply)?,
            tls: wire.tls,
        })
    }
}

impl From<Smtp> for v1::Smtp {
    fn from(mail: Smtp) -> Self {
        let recipients = mail.recipients.into_iter().take(limits::RECIPIENTS);
        Self {
            helo: mail.helo.map(cut_text),
            mail_from: mail.mail_from.map(cut_text),
            recipients: recipients.map(cut_text).collect(),
            login: mail.login,
            reply_code: mail.reply_code.map(Into::into),
            reply: mail.reply.map(cut_text),
            tls: mail.tls,
        }
    }
}

impl TryFrom<v1::Ftp> for Ftp {
    type Error = Invalid;

    fn try_from(wire: v1::Ftp) -> Checked<Self> {
        let port = narrow("data_port", wire.data_port)?;
        let ip = wire.data_ip.map(|bytes| address("data_ip", &bytes)).transpose()?;
        Ok(Self {
            user: optional_text("user", wire.user)?,
            command: text("command", wire.command)?,
            argument: optional_text("argument", wire.argument)?,
            reply_code: wire
                .reply_code
                .map(|code| narrow("reply_code", code))
                .transpose()?,
            reply: optional_text("reply", wire.reply)?,
            data: ip.map(|ip| Endpoint { ip, port }),
        })
    }
}

impl From<Ftp> for v1::Ftp {
    fn from(ftp: Ftp) -> Self {
        Self {
            user: ftp.user.map(cut_text),
            command: cut_text(ftp.command),
            argument: ftp.argument.map(cut_text),
            reply_code: ftp.reply_code.map(Into::into),
            reply: ftp.reply.map(cut_text),
            data_ip: ftp.data.map(|data| address_bytes(data.ip)),
            data_port: ftp.data.map_or(0, |data| data.port.into()),
        }
    }
}

impl TryFrom<v1::Login> for Login {
    type Error = Invalid;

    fn try_from(wire: v1::Login) -> Checked<Self> {
        Ok(Self {
            service: text("service", wire.service)?,
            user: optional_text("user", wire.user)?,
            outcome: match v1::LoginOutcome::try_from(wire.outcome) {
                Ok(v1::LoginOutcome::Success) => LoginOutcome::Success,
                Ok(v1::LoginOutcome::Failed) => LoginOutcome::Failed,
                Ok(v1::LoginOutcome::Confused) => LoginOutcome::Confused,
                Ok(v1::LoginOutcome::Unspecified) | Err(_) => {
                    return Err(unknown_number("outcome", wire.outcome));
                }
            },
        })
    }
}

impl From<Login> for v1::Login {
    fn from(login: Login) -> Self {
        Self {
            service: cut_text(login.service),
            user: login.user.map(cut_text),
            outcome: match login.outcome {
                LoginOutcome::Success => v1::LoginOutcome::Success,
                LoginOutcome::Failed => v1::LoginOutcome::Failed,
                LoginOutcome::Confused => v1::LoginOutcome::Confused,
            }
            .into(),
        }
    }
}

impl TryFrom<v1::File> for File {
    type Error = Invalid;

    fn try_from(wire: v1::File) -> Checked<Self> {
        Ok(Self {
            source: text("source", wire.source)?,
            name: optional_text("name", wire.name)?,
            mime: optional_text("mime", wire.mime)?,
            bytes: wire.bytes,
            md5: optional_text("md5", wire.md5)?,
            sha1: optional_text("sha1", wire.sha1)?,
            sha256: optional_text("sha256", wire.sha256)?,
            is_certificate: wire.is_certificate,
        })
    }
}

impl From<File> for v1::File {
    fn from(file: File) -> Self {
        Self {
            source: cut_text(file.source),
            name: file.name.map(cut_text),
            mime: file.mime.map(cut_text),
            bytes: file.bytes,
            md5: file.md5.map(cut_text),
            sha1: file.sha1.map(cut_text),
            sha256: file.sha256.map(cut_text),
            is_certificate: file.is_certificate,
        }
    }
}

impl TryFrom<v1::TunnelNote> for TunnelNote {
    type Error = Invalid;

    fn try_from(wire: v1::TunnelNote) -> Checked<Self> {
        Ok(Self {
            kind: text("kind", wire.kind)?,
            action: text("action", wire.action)?,
        })
    }
}

impl From<TunnelNote> for v1::TunnelNote {
    fn from(tunnel: TunnelNote) -> Self {
        Self {
            kind: cut_text(tunnel.kind),
            action: cut_text(tunnel.action),
        }
    }
}

impl TryFrom<v1::Notice> for Notice {
    type Error = Invalid;

    fn try_from(wire: v1::Notice) -> Checked<Self> {
        Ok(Self {
            analyzer: text("analyzer", wire.analyzer)?,
            name: text("name", wire.name)?,
            message: text("message", wire.message)?,
            detail: optional_text("detail", wire.detail)?,
            signature: wire.signature,
            severity: wire.severity.map(|rank| narrow("severity", rank)).transpose()?,
            category: optional_text("category", wire.category)?,
        })
    }
}

impl From<Notice> for v1::Notice {
    fn from(notice: Notice) -> Self {
        Self {
            analyzer: cut_text(notice.analyzer),
            name: cut_text(notice.name),
            message: cut_text(notice.message),
            detail: notice.detail.map(cut_text),
            signature: notice.signature,
            severity: notice.severity.map(Into::into),
            category: notice.category.map(cut_text),
        }
    }
}

impl TryFrom<v1::Weird> for Weird {
    type Error = Invalid;

    fn try_from(wire: v1::Weird) -> Checked<Self> {
        Ok(Self {
            name: text("name", wire.name)?,
            detail: optional_text("detail", wire.detail)?,
        })
    }
}

impl From<Weird> for v1::Weird {
    fn from(weird: Weird) -> Self {
        Self {
            name: cut_text(weird.name),
            detail: weird.detail.map(cut_text),
        }
    }
}

impl TryFrom<v1::Software> for Software {
    type Error = Invalid;

    fn try_from(wire: v1::Software) -> Checked<Self> {
        Ok(Self {
            kind: text("kind", wire.kind)?,
            name: text("name", wire.name)?,
            version: optional_text("version", wire.version)?,
        })
    }
}

impl From<Software> for v1::Software {
    fn from(software: Software) -> Self {
        Self {
            kind: cut_text(software.kind),
            name: cut_text(software.name),
            version: software.version.map(cut_text),
        }
    }
}
