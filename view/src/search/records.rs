//! What evidence, alerts and flows say of the fields of a search.

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::flow::Flow;
use lynceus_model::time::Timestamp;

use super::{Field, Record};
use crate::service;

impl Record for Evidence {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        match field {
            Field::Ip => [Some(self.profile), Some(self.attacker), self.victim]
                .into_iter()
                .flatten()
                .collect(),
            Field::Profile => vec![self.profile],
            Field::Attacker => vec![self.attacker],
            Field::Victim => self.victim.into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn numbers(&self, field: Field) -> Vec<f64> {
        match field {
            Field::Port => self.dst_port.map(f64::from),
            Field::Level => Some(self.threat_level.weight()),
            Field::Confidence => Some(self.confidence.value()),
            Field::Time => Some(self.last.as_secs_f64()),
            _ => None,
        }
        .into_iter()
        .collect()
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::Kind => kind(self.kind).into(),
            Field::Protocol => self.protocol.map(protocol).unwrap_or_default(),
            Field::Subject => self.subject.as_deref().map(Into::into).into_iter().collect(),
            Field::Service => match (self.dst_port, self.protocol) {
                (Some(port), Some(protocol)) => service::name(port, protocol)
                    .map(Into::into)
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            },
            Field::Text => vec![
                self.description.as_str().into(),
                self.explanation.text.as_str().into(),
                self.subject.as_deref().unwrap_or_default().into(),
            ],
            _ => Vec::new(),
        }
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.first, self.last))
    }
}

/// As JSON names it, and as people read it.
#[must_use]
pub fn kind(kind: EvidenceType) -> [Cow<'static, str>; 2] {
    [kind.name().into(), kind.name().replace('_', " ").into()]
}

/// Name, where it has one, and number.
fn protocol(number: u8) -> Vec<Cow<'static, str>> {
    let name = Some(service::protocol_name(number)).filter(|name| !name.is_empty());
    name.map(Into::into)
        .into_iter()
        .chain([number.to_string().into()])
        .collect()
}

impl Record for Alert {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        match field {
            Field::Ip | Field::Profile | Field::Attacker => vec![self.profile],
            _ => Vec::new(),
        }
    }

    fn numbers(&self, field: Field) -> Vec<f64> {
        match field {
            Field::Confidence => vec![self.confidence.value()],
            Field::Time => vec![self.last.as_secs_f64()],
            _ => Vec::new(),
        }
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::Kind => vec!["alert".into()],
            Field::Is => vec!["flagged".into()],
            _ => Vec::new(),
        }
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.first, self.last))
    }
}

/// A flow with what its messages say.
#[derive(Clone, Copy, Debug)]
pub struct FlowWithNotes<'a> {
    pub flow: &'a Flow,
    pub notes: &'a [String],
}

impl Record for FlowWithNotes<'_> {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        let tuple = &self.flow.tuple;
        match field {
            Field::Ip | Field::Profile => vec![tuple.originator.ip, tuple.responder.ip],
            Field::Source => vec![tuple.originator.ip],
            Field::Destination => vec![tuple.responder.ip],
            _ => Vec::new(),
        }
    }

    fn numbers(&self, field: Field) -> Vec<f64> {
        let flow = self.flow;
        match field {
            Field::Port => Some(f64::from(flow.tuple.responder.port)),
            Field::SourcePort => Some(f64::from(flow.tuple.originator.port)),
            Field::Established => Some(f64::from(u8::from(flow.established()))),
            Field::Bytes => Some((flow.out.bytes + flow.back.bytes) as f64),
            Field::Packets => Some((flow.out.packets + flow.back.packets) as f64),
            Field::Duration => Some(flow.duration().as_secs_f64()),
            Field::Time => Some(flow.first.as_secs_f64()),
            _ => None,
        }
        .into_iter()
        .collect()
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::State => vec![self.flow.state.name().into()],
            Field::Protocol => protocol(self.flow.tuple.protocol),
            Field::Is if self.flow.established() => vec!["established".into()],
            Field::Service | Field::Kind => {
                service::name(self.flow.tuple.responder.port, self.flow.tuple.protocol)
                    .map(Into::into)
                    .into_iter()
                    .collect()
            }
            Field::Text => self.notes.iter().map(|note| note.as_str().into()).collect(),
            _ => Vec::new(),
        }
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.flow.first, self.flow.last))
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::flow::ConnState;

    use super::*;
    use crate::examples::flow;
    use crate::human::Clock;
    use crate::search::Search;

    #[test]
    fn flows_are_found_by_what_they_are() {
        let flow = flow(1_493_719_200, "10.0.0.5", "93.184.216.34", 443, 6, ConnState::Sf);
        let notes = ["offers TLS 1.3 to www.Example.com".to_owned()];
        let record = FlowWithNotes {
            flow: &flow,
            notes: &notes,
        };
        for (text, expected) in [
            ("", true),
            ("10.0.0.5", true),
            ("src:10.0.0.5 dst:93.184.216.34 port:443 proto:tcp", true),
            ("dst:10.0.0.5", false),
            ("-10.0.0.5", false),
            ("port>1023", false),
            ("sport>1023 bytes>6k packets:8", true),
            ("example.com", true),
            ("service:https state:sf established:yes", true),
            ("established:no", false),
            ("ip:216.3 proto:6 is:established type:https", true),
            ("proto:udp", false),
            ("216.3", true),
            ("port:1-500 -port:>443 time:2017-05-02", true),
            ("time:10:00..10:01", true),
            ("time:10:03..11:00", false),
            ("time:2017-05..", true),
            ("time:\"2017-05-02 09:00..09:30\"", false),
            ("after:2017-05-02 before:2017-05-03", true),
            ("before:2017-05-02", false),
            // A flow has no level: it never matches, and its negation always does.
            ("level:high", false),
            ("-level:high", true),
        ] {
            assert_eq!(
                text.parse::<Search>().unwrap().matches(&record, &Clock::utc()),
                expected,
                "{text}"
            );
        }
    }
}
