//! The way in: admission, then the gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use preheat_core::admission::{Admit, Load};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Arrival, Service};
use crate::metrics::Working;
use crate::model::Loaded;
use crate::report;
use crate::serve_error::ServeError;

impl Service {
    /// A request that somebody else's server will answer: through the gate, and counted for as long
    /// as the result lives, which is as long as the body of its answer.
    ///
    /// # Errors
    /// As for [`embed`](Self::embed).
    pub async fn visit(
        self: &Arc<Self>,
        arrival: Arrival,
        deadline: Instant,
    ) -> Result<Visit, ServeError> {
        self.check_open(&arrival)?;
        let inside = self.admit(arrival.synthetic, deadline)?;
        let entered = async {
            if !arrival.synthetic && !self.gate.is_open() {
                self.knock().await?;
            }
            let place = Arc::clone(&self.places).acquire_owned().await;
            place.map_err(|_| ServeError::Draining)
        };
        let place = self.within(deadline, entered).await?;
        // From here on the visit counts, and no longer this function.
        std::mem::forget(inside);
        let visit = Visit {
            service: Arc::clone(self),
            _place: place,
            _working: (!arrival.synthetic).then(|| self.metrics.working()),
        };
        if !arrival.synthetic {
            self.note_user();
        }
        Ok(visit)
    }

    /// Admission, then the gate: who comes without a pass being there is told what the replica is
    /// doing, or waits for it if its model is loaded lazily.
    pub(super) async fn enter(
        &self,
        arrival: Arrival,
        deadline: Instant,
    ) -> Result<(Loaded, Inside<'_>), ServeError> {
        self.check_open(&arrival)?;
        let inside = self.admit(arrival.synthetic, deadline)?;
        if !arrival.synthetic && !self.gate.is_open() {
            self.knock().await?;
        }
        let loaded = self.loaded().ok_or_else(|| self.not_ready())?;
        if !arrival.synthetic {
            self.note_user();
        }
        Ok((loaded, inside))
    }

    fn note_user(&self) {
        if !self.visited.is_open() {
            self.visited.open(());
        }
    }

    /// The first request to a lazy model starts it and waits for it.
    async fn knock(&self) -> Result<(), ServeError> {
        if !self.lazy.enabled || self.board.read(|f| f.phase.is_over()) {
            return Err(self.not_ready());
        }
        self.metrics.cold(1);
        self.lazy.wanted.notify_one();
        self.settled().await
    }

    /// An operator's wish that the model be there: begins the start of a lazy one and waits for its end.
    ///
    /// # Errors
    /// [`ServeError::NotReady`] where the start failed or the replica leaves.
    pub async fn loading(&self) -> Result<(), ServeError> {
        self.lazy.wanted.notify_one();
        self.settled().await
    }

    /// Waits until users are let in, or never will be.
    async fn settled(&self) -> Result<(), ServeError> {
        let mut facts = self.board.watch();
        let settled = facts
            .wait_for(|f| self.gate.is_open() || f.phase.is_over())
            .await
            .is_ok();
        if settled && self.gate.is_open() {
            Ok(())
        } else {
            Err(self.not_ready())
        }
    }

    #[must_use]
    pub fn not_ready(&self) -> ServeError {
        self.board.read(|facts| ServeError::NotReady {
            phase: facts.phase.name(),
            detail: report::detail(facts),
            eta: report::eta(facts, self.board.clock().now()).map(Duration::from_millis),
        })
    }

    fn admit(&self, synthetic: bool, deadline: Instant) -> Result<Inside<'_>, ServeError> {
        // Counted before looking, so that two who look at once cannot both take the last place.
        let inside = Inside(&self.inside);
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        if synthetic {
            return Ok(inside);
        }
        let load = Load {
            inside: before,
            concurrency: self.limits.concurrency,
            queue: self.limits.queue,
            expected_wait: self
                .loaded()
                .map_or(Duration::ZERO, |loaded| loaded.batcher.expected_wait()),
            budget: deadline.saturating_duration_since(Instant::now()),
        };
        match load.admit() {
            Admit::Run | Admit::Wait { .. } => Ok(inside),
            Admit::Shed { why, retry_after } => Err(ServeError::Full {
                reason: why.name(),
                retry_after,
            }),
        }
    }
}

/// One request of a user inside a wrapped server.
#[derive(Debug)]
pub struct Visit {
    service: Arc<Service>,
    _place: OwnedSemaphorePermit,
    _working: Option<Working>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.service.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
