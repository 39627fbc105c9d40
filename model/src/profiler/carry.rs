//! The byte budget of flows and messages that travel beside the numbers.

use std::time::Duration;

use crate::app::{AppEvent, AppRecord};
use crate::flow::{FlowUpdate, Reported};

/// Two purses: one for all, and a second one for flows that a detector or an analyst would miss first.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    common: usize,
    notable: usize,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            common: limit,
            notable: limit,
        }
    }

    pub(super) const fn renew(&mut self) {
        self.common = self.limit;
        self.notable = self.limit;
    }

    /// Whether the report may travel.
    pub(super) fn flow(&mut self, update: &FlowUpdate) -> bool {
        let bytes = size_of::<FlowUpdate>()
            + update.flow.vlan.len() * size_of::<u16>()
            + update
                .flow
                .seen_at
                .iter()
                .map(|seen| size_of_val(seen) + seen.interface.len())
                .sum::<usize>()
            + update
                .flow
                .reported
                .as_ref()
                .map_or(0, |_| size_of::<Reported>() + 64);
        pay(&mut self.common, bytes) || (notable(update) && pay(&mut self.notable, bytes))
    }

    pub(super) fn app(&mut self, record: &AppRecord) -> bool {
        pay(
            &mut self.common,
            size_of::<AppRecord>() + text_bytes(&record.event),
        )
    }
}

/// Long, or much sent: few flows can be so, whatever floods.
fn notable(update: &FlowUpdate) -> bool {
    const LONG: Duration = Duration::from_secs(1_200);
    const MUCH: u64 = 50_000_000;
    update.flow.duration() >= LONG || update.flow.out.bytes >= MUCH || update.flow.back.bytes >= MUCH
}

const fn pay(purse: &mut usize, bytes: usize) -> bool {
    match purse.checked_sub(bytes) {
        Some(rest) => {
            *purse = rest;
            true
        }
        None => false,
    }
}

/// The parts of a message that the other side chooses the length of, roughly.
fn text_bytes(event: &AppEvent) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match event {
        AppEvent::Dns(dns) => dns.name.len() + dns.answers.len() * 64,
        AppEvent::TlsClient(hello) => {
            length(&hello.server_name) + hello.ja3.len() + hello.ja4.len() + hello.alpn.len() * 32
        }
        AppEvent::TlsServer(hello) => hello.ja3s.len() + length(&hello.alpn),
        AppEvent::HttpRequest(request) => {
            request.uri.len() + length(&request.host) + length(&request.user_agent) + request.method.len()
        }
        AppEvent::HttpResponse(response) => length(&response.mime) + length(&response.server),
        AppEvent::Ssh(ssh) => ssh.banner.len(),
        AppEvent::Dhcp(dhcp) => length(&dhcp.host_name) + length(&dhcp.vendor_class),
        AppEvent::Arp(_) | AppEvent::SshKeyExchange(_) => 0,
        AppEvent::Certificate(certificate) => {
            let names: usize = certificate.names.iter().map(String::len).sum();
            certificate.subject.len() + certificate.issuer.len() + names + 128
        }
        AppEvent::SshLogin(login) => length(&login.client) + length(&login.server),
        AppEvent::Smtp(mail) => {
            let recipients: usize = mail.recipients.iter().map(String::len).sum();
            length(&mail.helo) + length(&mail.mail_from) + length(&mail.reply) + recipients
        }
        AppEvent::Ftp(ftp) => length(&ftp.argument) + length(&ftp.reply),
        AppEvent::Login(login) => length(&login.user),
        AppEvent::File(file) => length(&file.name) + length(&file.mime) + 160,
        AppEvent::Notice(notice) => notice.name.len() + notice.message.len() + length(&notice.detail),
        AppEvent::Tunnel(_) => 0,
        AppEvent::Weird(weird) => weird.name.len() + length(&weird.detail),
        AppEvent::Software(software) => software.name.len() + length(&software.version),
    }
}
