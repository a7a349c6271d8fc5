//! The right to send one request to one replica.

use std::sync::Arc;
use std::time::Duration;

use preheat_core::ReplicaId;
use preheat_core::balance::Ended;
use preheat_runtime::upstream::SendError;
use tokio::time::Instant;

use super::Rotation;
use crate::data::Upstream;

/// How a replica failed a request, whether or not another one answered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It took no connection.
    Connect,
    /// A kept connection was closed before the request went out.
    Closed,
    /// The connection broke.
    Broken,
    /// Its own server was lost.
    Lost,
    /// It said that it cannot: 5xx, or the same in gRPC.
    Status,
    /// No answer in the time that it had promised.
    TooLate,
}

impl Failure {
    pub const ALL: [Failure; 6] = [
        Failure::Connect,
        Failure::Closed,
        Failure::Broken,
        Failure::Lost,
        Failure::Status,
        Failure::TooLate,
    ];

    /// For the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Closed => "closed",
            Failure::Broken => "broken",
            Failure::Lost => "lost",
            Failure::Status => "status",
            Failure::TooLate => "too_late",
        }
    }
}

impl From<&SendError> for Failure {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::Connect(_) => Failure::Connect,
            SendError::NotSent(_) => Failure::Closed,
            SendError::Broken(_) => Failure::Broken,
        }
    }
}

/// The right to send one request to one replica; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    pub(super) rotation: Option<Arc<Rotation>>,
    pub(super) id: ReplicaId,
    pub(super) upstream: Arc<Upstream>,
    pub(super) began: Instant,
    pub(super) ended: Ended,
    pub(super) failure: Option<Failure>,
    /// How often all replicas had been exchanged when it was granted.
    pub(super) switches: u64,
    /// Given back under the lock, so that what is in flight fits what the rotation counts.
    pub(super) in_flight: Option<preheat_runtime::Permit>,
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
    pub fn failed(&mut self, how: Failure) {
        self.ended = Ended::Failed;
        self.failure = Some(how);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(rotation) = self.rotation.take() {
            rotation.end(self);
        }
    }
}
