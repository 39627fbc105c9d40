//! How windows are judged.

use std::sync::Arc;

use lynceus_detect::{Context, DetectConfig, Maker, makers};
use lynceus_model::alert::AlertPolicy;
use lynceus_model::time::WindowPlan;
use lynceus_model::window::SensorId;

use crate::external::External;
use crate::knowledge::Facts;
use crate::modules::Hosting;

/// How windows are judged.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The sensor or group of sensors that evidence is said in the name of: part of its id.
    pub group: SensorId,
    pub plan: WindowPlan,
    pub policy: AlertPolicy,
    pub detectors: DetectConfig,
    /// Detectors of the program around the collector; they speak after ours.
    pub more: Vec<Maker>,
    /// How detectors are run.
    pub hosting: Hosting,
    /// What detectors may ask, and what is left out.
    pub facts: Arc<Facts>,
    /// Detectors that run as processes of their own, and how these are told.
    pub external: Option<Arc<External>>,
    /// Memory for windows; beyond it those untouched for longest go to the store.
    pub max_window_bytes: usize,
}

impl EngineOptions {
    /// Windows of this many bytes stay in memory by default: some 20,000 profiles of usual size.
    pub const DEFAULT_WINDOW_BYTES: usize = 512 << 20;

    #[must_use]
    pub fn new(group: SensorId, plan: WindowPlan) -> Self {
        Self {
            group,
            plan,
            policy: AlertPolicy {
                width: Some(plan.width),
                ..AlertPolicy::default()
            },
            detectors: DetectConfig::default(),
            more: Vec::new(),
            hosting: Hosting::default(),
            facts: Arc::new(Facts::default()),
            external: None,
            max_window_bytes: Self::DEFAULT_WINDOW_BYTES,
        }
    }

    /// How to make the detectors that are enabled and run here.
    #[must_use]
    pub fn makers(&self) -> Vec<Maker> {
        let context = Context {
            network: Arc::new(self.detectors.network.clone()),
            knowledge: Arc::<Facts>::clone(&self.facts),
        };
        let mut makers = makers(&self.detectors, &context);
        if let Some(external) = &self.external {
            makers.retain(|maker| !external.has_moved(maker.name()));
        }
        makers.extend(self.more.iter().cloned());
        makers
    }
}
