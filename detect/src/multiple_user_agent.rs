//! One address, several operating systems: a router with hosts behind it, or a program that lies about itself.

use std::collections::BTreeMap;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::names::shown;
use crate::report::{With, feature, grown};
use crate::tally::{Tallies, Tally};
use crate::user_agent::System;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`MultipleUserAgent`].
pub type Config = OnlyEnabled;

/// One finding for each window in which user agents name more than one operating system.
#[derive(Debug)]
pub struct MultipleUserAgent {
    agents: Tallies<(), BTreeMap<System, String>>,
}

impl MultipleUserAgent {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            agents: Tallies::new(),
        }
    }
}

impl Detector for MultipleUserAgent {
    fn name(&self) -> &'static str {
        "multiple_user_agent"
    }

    fn refused(&self) -> u64 {
        self.agents.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let AppEvent::HttpRequest(request) = &record.event
                && let Some(agent) = &request.user_agent
                && let Some(system) = System::of(agent)
                && let Some(tally) = self.agents.note(window, (), record)
            {
                tally.detail.entry(system).or_insert_with(|| shown(agent));
            }
        }
        let found = self.agents.say(window, |(), tally| {
            (tally.detail.len() > 1).then(|| [describe(update, tally)])
        });
        self.agents.close(update);
        found
    }
}

fn describe(update: &ProfileUpdate<'_>, tally: &Tally<BTreeMap<System, String>>) -> Evidence {
    let systems: Vec<&str> = tally.detail.keys().map(|system| system.name()).collect();
    let examples: Vec<String> = tally
        .detail
        .values()
        .map(|agent| format!("\"{agent}\""))
        .collect();
    Evidence {
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(1.0),
        description: format!(
            "User agents of {} name several operating systems: {}.",
            update.profile.window.profile,
            systems.join(", ")
        ),
        explanation: Explanation {
            features: vec![
                feature("operating systems", systems.len() as f64, "systems").threshold(2.0),
                feature("requests with a system", tally.count as f64, "requests"),
            ],
            text: format!("One of each: {}.", examples.join(", ")),
        },
        ..grown(update, EvidenceType::MultipleUserAgent, "", tally)
    }
}
