//! What evidence, alerts and flows say of the fields of a search.

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::Flow;

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

    fn number(&self, field: Field) -> Option<f64> {
        match field {
            Field::Port => self.dst_port.map(f64::from),
            Field::Protocol => self.protocol.map(f64::from),
            Field::Level => Some(self.threat_level.weight()),
            Field::Confidence => Some(self.confidence.value()),
            Field::Time => Some(self.last.as_secs_f64()),
            _ => None,
        }
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::Kind => vec![self.kind.name().into()],
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
                self.kind.name().into(),
                self.explanation.text.as_str().into(),
                self.subject.as_deref().unwrap_or_default().into(),
            ],
            _ => Vec::new(),
        }
    }
}

impl Record for Alert {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        match field {
            Field::Ip | Field::Profile | Field::Attacker => vec![self.profile],
            _ => Vec::new(),
        }
    }

    fn number(&self, field: Field) -> Option<f64> {
        match field {
            Field::Confidence => Some(self.confidence.value()),
            Field::Time => Some(self.last.as_secs_f64()),
            _ => None,
        }
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::Text => vec![self.profile.to_string().into()],
            _ => Vec::new(),
        }
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

    fn number(&self, field: Field) -> Option<f64> {
        let flow = self.flow;
        match field {
            Field::Port => Some(f64::from(flow.tuple.responder.port)),
            Field::SourcePort => Some(f64::from(flow.tuple.originator.port)),
            Field::Protocol => Some(f64::from(flow.tuple.protocol)),
            Field::Established => Some(f64::from(u8::from(flow.established()))),
            Field::Bytes => Some((flow.out.bytes + flow.back.bytes) as f64),
            Field::Packets => Some((flow.out.packets + flow.back.packets) as f64),
            Field::Duration => Some(flow.duration().as_secs_f64()),
            Field::Time => Some(flow.first.as_secs_f64()),
            _ => None,
        }
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        match field {
            Field::State => vec![self.flow.state.name().into()],
            Field::Service => service::name(self.flow.tuple.responder.port, self.flow.tuple.protocol)
                .map(Into::into)
                .into_iter()
                .collect(),
            Field::Text => self.notes.iter().map(|note| note.as_str().into()).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::flow::ConnState;

    use super::*;
    use crate::examples::flow;
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
            ("after:2017-05-02 before:2017-05-03", true),
            ("before:2017-05-02", false),
            // A flow has no level: it never matches, and its negation always does.
            ("level:high", false),
            ("-level:high", true),
        ] {
            assert_eq!(
                text.parse::<Search>().unwrap().matches(&record),
                expected,
                "{text}"
            );
        }
    }
}
