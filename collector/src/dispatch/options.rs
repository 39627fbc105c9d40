//! How windows are judged.

use std::sync::Arc;
use std::time::Duration;

use lynceus_detect::{Context, DetectConfig, Maker, makers};
use lynceus_model::alert::AlertPolicy;
use lynceus_model::time::WindowPlan;
use lynceus_model::window::SensorId;

use crate::external::External;
use crate::knowledge::Facts;

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
    /// How long one call of a detector may take before it is left behind.
    pub patience: Duration,
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

    /// By default a call of a detector may take this long: a million times what it usually takes.
    pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);

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
            patience: Self::DEFAULT_PATIENCE,
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
