//! What stands in front of the replicas: who gets a request, and how many replicas there are.

mod activator;
mod preheat;
mod service;

pub(crate) use activator::Activator;
pub(crate) use preheat::Preheat;
pub(crate) use service::Service;

use std::time::Duration;

use crate::cluster::{Cluster, News, Request};
use crate::ledger::Snapshot;
use crate::scenario::Gate;

pub(crate) trait Front {
    /// How often [`News::Tick`] comes.
    fn period(&self) -> Duration;

    /// When a replica is called ready.
    fn gate(&self) -> Gate;

    /// Traffic is about to begin: what had time to start is there.
    fn begin(&mut self, cluster: &mut Cluster<'_>);

    fn arrive(&mut self, request: Request, cluster: &mut Cluster<'_>);

    fn hear(&mut self, news: News, cluster: &mut Cluster<'_>);

    fn snapshot(&self, cluster: &Cluster<'_>) -> Snapshot;
}
