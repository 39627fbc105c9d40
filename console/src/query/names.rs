//! Names of hosts, learned from messages: DHCP says how a host calls itself, DNS how others call it.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::Context;
use lynceus_collector::query::Collected;
use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_proto::v1;

use super::{PAGE, Query};
use crate::{human, timeline};

/// Pages of traffic that are read for names when nothing else is to be done: enough for what a reader sees first, little
/// enough to end soon in a large store. Windows that are opened add theirs.
const MAX_PAGES: u32 = 32;
/// Characters of a name: DNS allows 253.
const MAX_NAME: usize = 253;

/// How far names were read.
#[derive(Debug, Default)]
pub(super) struct Namer {
    pages: u32,
    next: Vec<u8>,
    done: bool,
}

/// Adds names by which hosts call themselves; they win over those that others gave them.
pub(super) fn of_hosts(messages: &[AppRecord], names: &mut HashMap<IpAddr, String>) {
    for record in messages {
        let AppEvent::Dhcp(dhcp) = &record.event else {
            continue;
        };
        let Some(name) = dhcp.host_name.as_deref().filter(|name| !name.is_empty()) else {
            continue;
        };
        let client = record.tuple.originator.ip;
        let own = (!record.from_responder && !client.is_unspecified()).then_some(client);
        let given = dhcp.assigned.or(dhcp.requested).filter(|ip| !ip.is_unspecified());
        if let Some(ip) = given.or(own) {
            names.insert(ip, human::printable(name, MAX_NAME));
        }
    }
}

impl Query {
    /// Names of the next page; `None`: enough was read.
    pub(super) fn next_names(&mut self) -> anyhow::Result<Option<HashMap<IpAddr, String>>> {
        if self.namer.done {
            return Ok(None);
        }
        let request = v1::ListTrafficRequest {
            profile: None,
            community_ids: Vec::new(),
            span: None,
            page_size: PAGE,
            page: self.namer.next.clone(),
        };
        let answer = self.ask(async |mut client| client.list_traffic(request).await)?;
        let mut traffic = Collected::default();
        for entry in answer.entries {
            traffic.add(entry).with_context(|| self.bad_answer())?;
        }
        let (_, messages) = traffic.finish();
        let mut names = timeline::names(&messages);
        of_hosts(&messages, &mut names);
        self.namer.pages += 1;
        self.namer.done = answer.next_page.is_empty() || self.namer.pages >= MAX_PAGES;
        self.namer.next = answer.next_page;
        Ok(Some(names))
    }
}
