//! The right to send one request to one replica.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::ReplicaId;
use preheat_core::balance::Ended;
use tokio::time::Instant;

use super::Rotation;
use crate::data::Upstream;

/// The right to send one request to one replica; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    pub(super) rotation: Option<Arc<Rotation>>,
    pub(super) id: ReplicaId,
    pub(super) upstream: Arc<Upstream>,
    pub(super) began: Instant,
    pub(super) ended: Ended,
    pub(super) _in_flight: preheat_runtime::Permit,
}

/// A permit, and how long it was waited for.
#[derive(Debug)]
pub struct Granted {
    pub permit: Permit,
    pub held: Option<Duration>,
}

impl Permit {
    #[must_use]
    pub fn replica(&self) -> &ReplicaId {
        &self.id
    }

    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The head of an answer has come; what is left is its body.
    pub fn answered(&mut self) {
        self.ended = Ended::Answered(self.began.elapsed());
    }

    /// What came of it says nothing about the replica.
    pub fn void(&mut self) {
        self.ended = Ended::Void;
    }

    /// The replica failed it.
    pub fn failed(&mut self) {
        self.ended = Ended::Failed;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(rotation) = self.rotation.take() {
            rotation.end(&self.id, self.ended, self.began.elapsed());
        }
    }
}
