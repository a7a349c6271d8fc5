//! How warmth is reached, judged and kept.

use preheat_api::config::{self, Config, Upkeep};
use preheat_core::drift::DriftPolicy;
use preheat_core::keepwarm::KeepWarmPolicy;
use preheat_core::lifecycle::LifecycleSettings;
use preheat_core::proof::{Criteria, WhenUnsettled};
use preheat_core::{OnFailure, RoundPolicy};

#[derive(Debug, Clone, Copy)]
pub struct LoadTest {
    pub requests: usize,
    pub concurrency: usize,
}

pub(super) fn rounds(warmup: &config::Warmup) -> RoundPolicy {
    RoundPolicy {
        min: warmup.rounds,
        max: warmup.max_rounds,
        tolerance: warmup.tolerance,
        slack: warmup.slack.0,
    }
}

pub(super) fn criteria(config: &Config) -> Criteria {
    Criteria {
        max_first_ratio: config.warmup.max_first_ratio,
        slack: config.warmup.slack.0,
        headroom: config.memory.headroom,
        slo_p95: config.slo.p95.0,
        when_unsettled: match config.warmup.unsettled {
            config::Unsettled::Degrade => WhenUnsettled::Degrade,
            config::Unsettled::Fail => WhenUnsettled::Fail,
        },
    }
}

pub(super) fn lifecycle(warmup: &config::Warmup) -> LifecycleSettings {
    LifecycleSettings {
        skip_warmup: warmup.skip,
        on_failure: match warmup.on_failure {
            config::OnFailure::Hold => OnFailure::Hold,
            config::OnFailure::Exit => OnFailure::Exit,
            config::OnFailure::Retry => OnFailure::Retry,
        },
        warmup_timeout: warmup.timeout.0,
    }
}

pub(super) fn keep_warm(config: &config::KeepWarm) -> (Upkeep, KeepWarmPolicy) {
    let policy = KeepWarmPolicy {
        idle: config.idle.0,
        every: config.every.0,
        tolerance: config.tolerance,
        ..KeepWarmPolicy::default()
    };
    (config.mode, policy)
}

pub(super) fn drift(config: &config::Drift) -> (Upkeep, DriftPolicy) {
    let policy = DriftPolicy {
        share: config.share,
        at_least: config.at_least,
        ..DriftPolicy::default()
    };
    (config.mode, policy)
}

pub(super) fn load_test(load: &config::SyntheticLoad) -> Option<LoadTest> {
    let concurrency = load.concurrency.max(1);
    (load.requests > 0).then_some(LoadTest {
        requests: load.requests,
        concurrency,
    })
}
