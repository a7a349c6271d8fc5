//! `GET /v1/events`: what changes in the fleet, as it changes.
//!
//! Nothing is queued for a reader. Each looks at the services a few times a second and is told what
//! differs from what it was told before, so that one that is slow misses steps between, and never the
//! last one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Sse, KeepAlive};
use axum::response::{IntoResponse, Response, Sse as SseResponse};
use futures_util::stream;
use preheat_api::service::{FleetEvent, ServiceReport};
use preheat_runtime::Urgency;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{Admin, Shared, place, refused};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Counters alone are told so seldom.
const COUNTERS: Duration = Duration::from_secs(2);

/// Silence longer than twice this means that the connection is dead.
const HEARTBEAT: Duration = Duration::from_secs(10);

pub(super) async fn events(State(admin): Shared) -> Response {
    let place = match place(&admin) {
        Ok(place) => place,
        Err(refusal) => return refused(&refusal),
    };
    let state = (Reader::new(admin), place);
    let messages = stream::unfold(state, |(mut reader, place)| async {
        let message = reader.next().await?;
        Some((Ok::<_, Infallible>(message), (reader, place)))
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT);
    SseResponse::new(messages)
        .keep_alive(heartbeat)
        .into_response()
}

/// One connection's place in everything that is told.
struct Reader {
    admin: Arc<Admin>,
    looks: Interval,
    due: VecDeque<Sse>,
    /// Of each service: what was told last, and when.
    told: Vec<Option<(ServiceReport, Instant)>>,
    /// The newest decision that was told.
    decided: u64,
}

impl Reader {
    fn new(admin: Arc<Admin>) -> Self {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Reader {
            told: vec![None; admin.front.services.len()],
            admin,
            looks,
            due: VecDeque::new(),
            decided: 0,
        }
    }

    /// None once the gateway leaves.
    async fn next(&mut self) -> Option<Sse> {
        let shutdown = self.admin.shutdown.clone();
        loop {
            if let Some(message) = self.due.pop_front() {
                return Some(message);
            }
            tokio::select! {
                _ = self.looks.tick() => self.look(),
                () = shutdown.reached(Urgency::Drain) => return None,
            }
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        for (service, told) in self.admin.front.services.iter().zip(&mut self.told) {
            let report = service.status().report;
            let is_known = told.as_ref().is_some_and(|(known, at)| {
                now.duration_since(*at) < COUNTERS && essence(known) == essence(&report)
            });
            if !is_known {
                *told = Some((report.clone(), now));
                let event = FleetEvent::Service(Box::new(report));
                self.due.push_back(message(&event));
            }
        }
        let (new, missed) = self.admin.decisions.after(self.decided);
        // Who was told nothing yet has missed nothing.
        if missed > 0 && self.decided > 0 {
            let lagged = Sse::default().event("lagged").data(missed.to_string());
            self.due.push_back(lagged);
        }
        if let Some(last) = new.last() {
            self.decided = last.sequence;
            self.due.push_back(message(&FleetEvent::Decisions(new)));
        }
    }
}

/// A service without what changes from request to request, or with the clock.
fn essence(report: &ServiceReport) -> ServiceReport {
    let mut essence = ServiceReport {
        held: 0,
        held_bytes: 0,
        rate_rps: 0.0,
        capacity_rps: None,
        ..report.clone()
    };
    for replica in &mut essence.replicas {
        (replica.in_flight, replica.answered, replica.uptime_ms) = (0, 0, 0.0);
        replica.latency_ms = None;
    }
    if let Some(rollout) = &mut essence.rollout {
        rollout.stage_ms = 0.0;
    }
    essence
}

fn message(event: &FleetEvent) -> Sse {
    // These shapes always serialise.
    let message = Sse::default().event(event.kind());
    message.json_data(event).unwrap_or_default()
}
