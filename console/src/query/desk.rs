//! The terminal UI's questions, answered by the collector.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::{block, v1};

use super::news::News;
use super::{Query, Wanted, convert};
use crate::desk::{Answer, BlockOrder, Desk, Findings, FlowList, Index, Request, Spare};
use crate::outliers::dive::Dive;
use crate::peers::{self, other_side};
use crate::view::Overview;
use crate::{human, timeline};

/// Community IDs that the collector takes in one question.
const MAX_IDS: usize = 256;

impl Desk for Query {
    fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
        let changed = match self.catch_up() {
            Ok(changed) => changed,
            Err(error) => {
                // Whatever comes next must begin with a whole list.
                self.news = None;
                return Err(error);
            }
        };
        let sensors: Vec<_> = self
            .status()?
            .sensors
            .into_iter()
            .map(|sensor| sensor.status)
            .collect();
        if !changed && self.sensors.as_ref() == Some(&sensors) {
            return Ok(None);
        }
        self.sensors = Some(sensors.clone());
        Ok(Some(Overview {
            profiles: self.profiles.values().cloned().collect(),
            sensors,
            more: self.more,
        }))
    }

    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<Answer>> {
        Ok(match request {
            Request::Window(id) => self
                .load_window(*id)?
                .map(|answer| Answer::Window(Box::new(answer))),
            Request::Findings(profile) => Some(Answer::Findings(self.findings(*profile)?)),
            Request::Flows { profile, span, ids } => Some(Answer::Flows(self.flows(*profile, *span, ids)?)),
            Request::Dossier(ip) => Some(Answer::Dossier(self.dossier(*ip)?)),
            Request::Dive(window) => Some(Answer::Dive(*window, self.dive(*window)?)),
            Request::Index => Some(Answer::Index(self.index()?)),
            Request::Block(order) => Some(Answer::Block(order.clone(), self.block(order)?)),
            Request::Reload => None,
        })
    }

    fn idle(&mut self) -> anyhow::Result<Spare> {
        if let Some(spare) = self.read_on()? {
            return Ok(spare);
        }
        Ok(self
            .next_names()?
            .map_or(Spare::Nothing, |names| Spare::Answer(Answer::Names(names))))
    }

    fn forget(&mut self) {
        self.news = None;
        self.sensors = None;
        self.shown = None;
        self.reading = None;
    }

    fn is_live(&self) -> bool {
        self.live
    }
}

impl Query {
    fn findings(&self, profile: IpAddr) -> anyhow::Result<Findings> {
        let wanted = Wanted {
            profile: Some(profile),
            ..Wanted::default()
        };
        let evidence = self.evidence(&wanted)?;
        let alerts = self.alerts(&wanted)?;
        Ok(Findings {
            profile,
            peers: peers::of(evidence.items.iter().filter_map(other_side), &evidence.items),
            more: evidence.more || alerts.more,
            evidence: evidence.items,
            alerts: alerts.items,
        })
    }

    fn flows(
        &self,
        profile: IpAddr,
        (first, last): (Timestamp, Timestamp),
        ids: &[CommunityId],
    ) -> anyhow::Result<FlowList> {
        let ids = &ids[..ids.len().min(MAX_IDS)];
        let (traffic, _) = self.traffic(profile, Timestamp::MIN, Timestamp::MAX, ids)?;
        let (mut flows, messages) = traffic.finish();
        // An ID stands for all flows between the same two ends, whenever they were.
        flows.retain(|flow| flow.first <= last && flow.last >= first);
        let entries = timeline::build(profile, &flows, &messages);
        Ok(FlowList {
            profile,
            peers: peers::of(entries.iter().map(|entry| entry.peer), &[]),
            entries,
            asked: ids.len(),
        })
    }

    fn index(&self) -> anyhow::Result<Index> {
        let mut index = Index {
            peers: peers::of(self.profiles.keys().copied(), &[]),
            ..Index::default()
        };
        for found in self.evidence(&Wanted::default())?.items {
            let known = index
                .evidence
                .entry(found.profile)
                .or_insert_with(|| (BTreeSet::new(), found.threat_level));
            known.0.insert(found.kind);
            known.1 = known.1.max(found.threat_level);
        }
        Ok(index)
    }

    fn dive(&self, window: WindowId) -> anyhow::Result<Option<Box<Dive>>> {
        if self.outlier(window)?.is_none() {
            return Ok(None);
        }
        Dive::new(self, window).map(|dive| Some(Box::new(dive)))
    }

    /// `Err` inside: the collector refuses, for this reason.
    fn block(&self, order: &BlockOrder) -> anyhow::Result<Result<String, String>> {
        let request = v1::BlockRequest {
            address: block::octets(lynceus_model::address::Network::host(order.ip)),
            prefix: if order.ip.is_ipv4() { 32 } else { 128 },
            for_nanos: u64::try_from(order.time.as_nanos()).unwrap_or(u64::MAX),
            dry_run: order.dry_run,
            reason: order.reason.clone(),
        };
        let mut client = self.control.clone();
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(super::TIMEOUT, client.block(request))
                .await
                .unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")))
        });
        Ok(match answer {
            Ok(answer) => {
                let answer = answer.into_inner();
                let counted = answer.block.is_some_and(|block| block.dry_run);
                let sensors = human::plural(u64::from(answer.sensors), "sensor", "sensors");
                let what = if counted || order.dry_run {
                    "packets are counted, none is dropped, by"
                } else {
                    "packets are dropped by"
                };
                Ok(format!(
                    "{}: {what} {sensors} for {}",
                    order.ip,
                    human::duration(order.time)
                ))
            }
            Err(status) if status.code() == tonic::Code::Unimplemented => {
                Err("this collector takes no blocks".to_owned())
            }
            Err(status) if status.code() == tonic::Code::Unavailable => return Err(self.explain(&status)),
            Err(status) => Err(human::printable(status.message(), 300)),
        })
    }

    /// Takes what the collector pushed; reads everything anew where something was missed. Tells whether anything is new.
    fn catch_up(&mut self) -> anyhow::Result<bool> {
        let mut changed = false;
        let caught_up = match &mut self.news {
            Some(news) => news.take(&mut |profile, window| {
                changed = true;
                let view = self
                    .profiles
                    .entry(profile)
                    .or_insert_with(|| convert::new_profile(profile, &self.me));
                convert::put_window(view, window);
            }),
            None => false,
        };
        if caught_up {
            return Ok(changed);
        }
        if self.live {
            // First the news, then the list: nothing can fall between.
            let stream = self.ask(async |mut client| client.watch(v1::WatchRequest {}).await)?;
            self.news = Some(News::start(&self.runtime, stream));
        }
        let listed = self.profiles()?;
        self.more = listed.more;
        self.profiles = listed
            .items
            .into_iter()
            .map(|profile| (profile.ip, profile))
            .collect();
        Ok(true)
    }
}
