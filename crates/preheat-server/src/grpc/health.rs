//! `grpc.health.v1.Health`: the replica's readiness for those who ask once and those who watch.
//!
//! Services: empty and `readiness` for ready, `liveness` for alive, and the model by its name.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, future, stream};
use tokio::sync::Semaphore;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::board::Facts;
use crate::replica::Replica;

/// Who watches at once, as at a gateway: each keeps a stream open for as long as it likes.
const WATCHES: usize = 1024;

pub(super) fn service(replica: &Arc<Replica>) -> HealthServer<Probes> {
    HealthServer::new(Probes {
        replica: Arc::clone(replica),
        watches: Arc::new(Semaphore::new(WATCHES)),
    })
}

pub(super) struct Probes {
    replica: Arc<Replica>,
    watches: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
enum Asked {
    Liveness,
    Readiness,
}

impl Probes {
    fn asked(&self, service: &str) -> Option<Asked> {
        match service {
            "liveness" => Some(Asked::Liveness),
            "" | "readiness" | "inference.GRPCInferenceService" => Some(Asked::Readiness),
            model if model == self.replica.service.name.as_str() => Some(Asked::Readiness),
            _ => None,
        }
    }
}

fn answer(asked: Asked, facts: &Facts) -> HealthCheckResponse {
    let serving = match asked {
        Asked::Liveness => facts.probes.liveness,
        Asked::Readiness => facts.probes.readiness,
    };
    let status = if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    HealthCheckResponse {
        status: status.into(),
    }
}

type Watch = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Health for Probes {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let asked = self.asked(&service);
        let asked =
            asked.ok_or_else(|| Status::not_found(format!("unknown service {service:?}")))?;
        Ok(Response::new(
            self.replica.board.read(|facts| answer(asked, facts)),
        ))
    }

    type WatchStream = Watch;

    /// The present status, then each change of it. A name that nobody knows is watched as unknown,
    /// as the protocol asks.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let place = Arc::clone(&self.watches).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("as many watch as may: close one, or come back later")
        })?;
        let asked = self.asked(&request.into_inner().service);
        // A watch is not a request to wait for: it ends with the drain, whose word comes last.
        let leaving = self.replica.service.leaving();
        let replica = Arc::clone(&self.replica);
        let last_words = future::lazy(move |_| replica.board.read(Facts::clone));
        let facts = WatchStream::new(self.replica.board.watch())
            .take_until(leaving)
            .chain(stream::once(last_words));
        let unknown = HealthCheckResponse {
            status: ServingStatus::ServiceUnknown.into(),
        };
        let mut last = None;
        let changes = facts.filter_map(move |facts| {
            let _taken = &place;
            let now = asked.map_or(unknown, |asked| answer(asked, &facts));
            let changed = last.as_ref() != Some(&now);
            last = Some(now);
            future::ready(changed.then_some(Ok(now)))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}
