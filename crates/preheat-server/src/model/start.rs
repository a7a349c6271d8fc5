//! A loaded model with its instances and its batcher.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::batching::BatchLimits;
use preheat_core::{Failure, FailureKind, ModelLimits, Phase};
use preheat_engine::RunError;
use preheat_runtime::Tasks;

use super::Loaded;
use super::buckets::{buckets, row_buckets};
use super::images::image_way;
use super::load::Parts;
use crate::batcher::{Batcher, BatcherConfig, Coverage, Grouping};
use crate::clock::Clock;
use crate::instances::Instances;
use crate::metrics::Metrics;
use crate::settings::ModelSettings;

impl Parts {
    /// Opens the instances and starts the batcher.
    ///
    /// # Errors
    /// As a failure of the loading phase.
    pub fn start(
        self,
        model: &ModelSettings,
        metrics: &Arc<Metrics>,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<Loaded, Failure> {
        let info = self.engine.info().clone();
        let pictures = image_way(model, &info)?;
        let instances = Instances::open(&self.engine, model.instances).map_err(no_instance)?;
        let batching = &model.batching;
        let limits = ModelLimits {
            max_batch: batching.max_batch,
            max_tokens: info.max_tokens,
            // One sequence of full length must always fit.
            max_volume: batching.max_tokens.max(info.max_tokens),
            shape_state: info.shape_state,
        };
        let texts = info.signature.task.takes_texts();
        let buckets = match texts {
            true => buckets(model, info.max_tokens),
            false => row_buckets(model, &info),
        };
        let coverage = Coverage::new(info.shape_state);
        let config = BatcherConfig {
            limits: BatchLimits {
                // A request's tensors wait as one, and count by their rows.
                max_rows: if texts { limits.max_batch } else { usize::MAX },
                max_cost: if texts {
                    limits.max_volume
                } else {
                    limits.max_batch
                },
                max_delay: batching.max_delay.0.min(Duration::from_secs(1)),
            },
            buckets: buckets.clone(),
            grouping: match (texts, info.shape_state) {
                // Without per-shape state there is nothing to pad for: lengths run together.
                (true, false) => Grouping::Mixed,
                (true, true) => Grouping::ByLength,
                (false, _) if info.signature.batched => Grouping::ByShape,
                (false, _) => Grouping::Alone,
            },
        };
        let batcher = Batcher::start(
            config,
            instances.clone(),
            coverage.clone(),
            Arc::clone(metrics),
            clock,
            tasks,
        );
        Ok(Loaded {
            tokenizer: self.tokenizer,
            pictures: pictures.map(Arc::new),
            checksum_ok: self.checksum_ok,
            engine: self.engine,
            info: Arc::new(info),
            instances,
            batcher,
            coverage,
            buckets,
            limits,
        })
    }
}

fn no_instance(error: RunError) -> Failure {
    let kind = match error {
        RunError::OutOfMemory(_) => FailureKind::Memory,
        RunError::Input(_) | RunError::Engine(_) | RunError::Abandoned => FailureKind::Load,
    };
    let remedy = "lower instances or max_tokens, or raise the memory limit";
    Failure::new(kind, &Phase::Loading, error.to_string(), remedy)
}
