//! What modules in programs of their own say.

use lynceus_model::evidence::{Evidence, EvidenceId, EvidenceType};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::{SensorId, WindowId};

use crate::field::{Checked, Invalid, Problem, address, bounded, limits, list, name, required};
use crate::v1;

/// How a module introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub name: String,
    pub version: String,
    /// Entries that may be under way.
    pub window: u32,
    pub only_new: bool,
    pub with_tables: bool,
}

/// Findings of a module that become durable together, and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    pub module: String,
    /// It is through with the log up to this position.
    pub cursor: u64,
    pub evidence: Vec<Evidence>,
}

impl Said {
    /// Most findings in one entry of the log: with the longest texts they fit into it.
    pub const MAX_EVIDENCE: usize = 32;
}

/// Entries under way when the module does not say, and at most.
const WINDOW: (u32, u32) = (64, 1024);
const MAX_NAME: usize = 64;

impl TryFrom<v1::ModuleHello> for Hello {
    type Error = Invalid;

    fn try_from(wire: v1::ModuleHello) -> Checked<Self> {
        let (usual, most) = WINDOW;
        Ok(Self {
            name: module_name("name", wire.name)?,
            version: name("version", wire.version)?,
            window: if wire.window == 0 {
                usual
            } else {
                wire.window.min(most)
            },
            only_new: wire.only_new,
            with_tables: wire.with_tables,
        })
    }
}

fn module_name(field: &'static str, name: String) -> Checked<String> {
    let good = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    bounded(field, name.len(), MAX_NAME)?;
    if name.is_empty() || !name.as_bytes().iter().all(good) {
        return Err(Invalid::new(field, Problem::Unknown { value: name }));
    }
    Ok(name)
}

impl v1::Finding {
    /// Makes an evidence of it, in the name of `group`.
    ///
    /// # Errors
    /// A field is missing or out of its bounds.
    pub fn into_evidence(
        self,
        module: &str,
        group: SensorId,
        plan: &WindowPlan,
    ) -> Result<Evidence, Invalid> {
        bounded("key", self.key.len(), limits::NAME)?;
        let kind = if self.kind.is_empty() {
            EvidenceType::ReportedByOther
        } else {
            let known = EvidenceType::from_name(&self.kind);
            known.ok_or_else(|| Invalid::new("kind", Problem::Unknown { value: self.kind }))?
        };
        let first = Timestamp(required("first", (self.first != 0).then_some(self.first))?);
        let window = WindowId {
            profile: address("profile", &self.profile)?,
            start: plan.start_of(first),
        };
        let id = EvidenceId::new(group, kind, window, &format!("module/{module}/{}", self.key));
        // The rest is checked as any evidence that comes over the wire is.
        Evidence::try_from(v1::Evidence {
            id: id.0.to_vec(),
            kind: kind.name().to_owned(),
            profile: self.profile.clone(),
            window_start: window.start.0,
            window: plan.number_of(window.start),
            attacker: self.profile,
            attacker_side: v1::AttackerSide::Source.into(),
            victim: self.victim,
            src_port: None,
            dst_port: self.dst_port,
            protocol: self.protocol,
            threat_level: self.threat_level,
            confidence: self.confidence,
            description: self.description,
            explanation: self.explanation,
            flows: self.flows,
            first: first.0,
            last: self.last.max(first.0),
            subject: self.subject,
            revision: self.revision,
            account: None,
            related: Vec::new(),
            accumulated: None,
            whose: Vec::new(),
        })
    }
}

impl TryFrom<v1::ModuleSaid> for Said {
    type Error = Invalid;

    fn try_from(wire: v1::ModuleSaid) -> Checked<Self> {
        Ok(Self {
            module: module_name("module", wire.module)?,
            cursor: wire.cursor,
            evidence: list("evidence", wire.evidence, Self::MAX_EVIDENCE, Evidence::try_from)?,
        })
    }
}

impl From<Said> for v1::ModuleSaid {
    fn from(said: Said) -> Self {
        Self {
            module: said.module,
            cursor: said.cursor,
            evidence: said.evidence.into_iter().map(Into::into).collect(),
        }
    }
}

impl v1::WindowUpdate {
    /// Leaves of the delta only profile, window, span and totals: what most modules need is in the flows and messages.
    pub fn strip_tables(&mut self) {
        if let Some(delta) = self.delta.take() {
            self.delta = Some(v1::ProfileDelta {
                profile: delta.profile,
                window_start: delta.window_start,
                span: delta.span,
                totals: delta.totals,
                ..v1::ProfileDelta::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: SensorId = SensorId([7; 16]);

    fn finding() -> v1::Finding {
        v1::Finding {
            profile: vec![10, 0, 0, 1],
            key: "telnet".to_owned(),
            threat_level: v1::ThreatLevel::Low.into(),
            confidence: 0.5,
            description: "talks telnet".to_owned(),
            first: 3_600_000_000_001,
            last: 3_600_000_000_005,
            ..v1::Finding::default()
        }
    }

    fn evidence(module: &str, finding: v1::Finding) -> Result<Evidence, Invalid> {
        let plan = WindowPlan {
            origin: Timestamp(0),
            width: WindowPlan::DEFAULT_WIDTH,
        };
        finding.into_evidence(module, GROUP, &plan)
    }

    #[test]
    fn the_same_finding_is_the_same_evidence() {
        let first = evidence("a", finding()).unwrap();
        assert_eq!(first.kind, EvidenceType::ReportedByOther);
        assert_eq!(first.window_start, Timestamp(3_600_000_000_000));
        let grown = v1::Finding {
            last: 3_700_000_000_000,
            revision: 1,
            ..finding()
        };
        assert_eq!(evidence("a", grown).unwrap().id, first.id);
        assert_ne!(evidence("b", finding()).unwrap().id, first.id);
        let other = v1::Finding {
            key: "ftp".to_owned(),
            ..finding()
        };
        assert_ne!(evidence("a", other).unwrap().id, first.id);
    }

    #[test]
    fn a_bad_finding_names_its_field() {
        let field = |change: fn(&mut v1::Finding)| {
            let mut bad = finding();
            change(&mut bad);
            evidence("a", bad).unwrap_err().field
        };
        assert_eq!(field(|bad| bad.profile = vec![1]), "profile");
        assert_eq!(field(|bad| bad.confidence = f64::NAN), "confidence");
        assert_eq!(field(|bad| bad.kind = "NO_SUCH".to_owned()), "kind");
        assert_eq!(field(|bad| bad.first = 0), "first");
        assert_eq!(field(|bad| bad.threat_level = 99), "threat_level");
    }

    #[test]
    fn names_are_plain() {
        for bad in ["", "A", "a/b", "a b", &"a".repeat(65)] {
            let hello = v1::ModuleHello {
                name: bad.to_owned(),
                ..v1::ModuleHello::default()
            };
            assert_eq!(Hello::try_from(hello).unwrap_err().field, "name");
        }
    }
}
