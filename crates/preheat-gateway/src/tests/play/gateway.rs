//! The gateway of a play, as clients and operators meet it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use preheat_api::service::{Decision, ServiceReport};
use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use preheat_runtime::edge::MemoryDialer;
use tokio::time::sleep;

use crate::decisions::Decisions;
use crate::service::{Order, Service};

#[derive(Debug, Clone)]
pub struct Gateway {
    pub(super) decisions: Arc<Decisions>,
    pub(super) service: Arc<Service>,
    pub(super) dialer: MemoryDialer,
    pub(super) tasks: Tasks,
}

impl Gateway {
    pub fn decisions(&self) -> Vec<Decision> {
        self.decisions.recent()
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// How many requests replicas have failed in this way.
    pub fn failures(&self, how: &str) -> u64 {
        let failures = self.service.rotation.failures();
        failures
            .filter(|(h, _)| h.name() == how)
            .map(|(_, n)| n)
            .sum()
    }

    pub fn report(&self) -> ServiceReport {
        let mut report = self.service.status().report;
        for replica in &mut report.replicas {
            let id = ReplicaId::new(replica.id.clone());
            let seen = self.service.rotation.look(&id);
            replica.in_flight = seen.map_or(0, |seen| seen.in_flight);
        }
        report
    }

    pub async fn order(&self, order: Order) -> Result<(), String> {
        self.service.order(order).await
    }

    pub async fn until(&self, wanted: impl Fn(&ServiceReport) -> bool) {
        for _ in 0..600_000 {
            if wanted(&self.report()) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("never: {:#?}", self.report());
    }

    /// One request on a connection of its own, which goes with the body of the answer.
    pub async fn ask<B>(&self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let stream = self.dialer.connect().await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn("client connection", async {
            // How it ends shows in the answer.
            let _ = connection.await;
        });
        sender.send_request(request).await
    }
}
