//! What was decided and why: the last of it, for whoever asks.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use preheat_api::replica::DecisionEvent;
use preheat_api::service::Decision;
use preheat_core::{Because, Moment, ReplicaId};

use crate::clock::millis;

/// Decisions that are remembered.
const KEPT: usize = 1000;

/// The decisions of all services of a gateway.
#[derive(Debug, Default)]
pub struct Decisions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    recent: VecDeque<Decision>,
}

impl Decisions {
    /// Writes one down, and logs it.
    pub fn note(
        &self,
        service: &str,
        action: &str,
        replica: Option<&ReplicaId>,
        because: &Because,
        now: Moment,
    ) {
        let shown = replica.map_or("", |id| id.as_str());
        tracing::info!(
            event = "decision",
            service,
            action,
            replica = shown,
            reason = %because,
            "{action} {shown}: {}",
            because.rule
        );
        self.keep(Decision {
            sequence: 0,
            at_ms: millis(now.since_start()),
            service: service.to_owned(),
            action: action.to_owned(),
            replica: replica.map(|id| id.as_str().to_owned()),
            reason: because.rule.to_owned(),
            inputs: because
                .inputs
                .iter()
                .filter_map(|input| Some((input.name.to_owned(), input.value.number()?)))
                .collect(),
            detail: because.to_string(),
        });
    }

    /// Writes down what a replica has decided about itself; it has logged that.
    pub fn relay(&self, service: &str, replica: &ReplicaId, event: &DecisionEvent, now: Moment) {
        self.keep(Decision {
            sequence: 0,
            at_ms: millis(now.since_start()),
            service: service.to_owned(),
            action: event.action.clone(),
            replica: Some(replica.as_str().to_owned()),
            reason: event.reason.clone(),
            inputs: event.inputs.clone(),
            detail: event.detail.clone(),
        });
    }

    fn keep(&self, mut decision: Decision) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.next += 1;
        decision.sequence = kept.next;
        if kept.recent.len() == KEPT {
            kept.recent.pop_front();
        }
        kept.recent.push_back(decision);
    }

    /// Those after a number, oldest first, and how many between are forgotten.
    #[must_use]
    pub fn after(&self, sequence: u64) -> (Vec<Decision>, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kept.recent.iter();
        let new: Vec<_> = all.filter(|one| one.sequence > sequence).cloned().collect();
        let oldest = new.first().map_or(sequence + 1, |one| one.sequence);
        (new, oldest - sequence - 1)
    }

    /// Oldest first.
    #[must_use]
    pub fn recent(&self) -> Vec<Decision> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.recent.iter().cloned().collect()
    }
}
