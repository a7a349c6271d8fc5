//! The end: no replica is left.

use std::time::Duration;

use preheat_runtime::{Shutdown, Urgency};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Fleet;
use super::replica::Replica;
use crate::provision::{Event, What};
use crate::refusal::Refusal;

/// How long the kernel may take to end a process.
const KILLED: Duration = Duration::from_secs(5);

impl Fleet {
    /// Every replica is told to leave, and those that do not are ended.
    pub(super) async fn end(&mut self, events: &mut mpsc::Receiver<Event>, shutdown: &Shutdown) {
        for replica in &mut self.replicas {
            self.service.rotation.withdraw(&replica.id);
            replica.stop();
        }
        self.service.rotation.give_up(Refusal::Draining);
        let limit = self.settings.stop_limit + Duration::from_secs(5);
        tokio::select! {
            left = timeout(limit, gone(&mut self.replicas, events)) => {
                if left.is_ok() {
                    return;
                }
            }
            () = shutdown.reached(Urgency::Stop) => {}
        }
        for replica in &self.replicas {
            replica.process.kill();
        }
        if timeout(KILLED, gone(&mut self.replicas, events))
            .await
            .is_err()
        {
            let left = self.replicas.len();
            tracing::error!(
                event = "replicas_left",
                left,
                "some replicas could not be ended"
            );
        }
    }
}

/// Until the last replica has ended.
async fn gone(replicas: &mut Vec<Replica>, events: &mut mpsc::Receiver<Event>) {
    while !replicas.is_empty() {
        let Some(event) = events.recv().await else {
            return;
        };
        if matches!(event.what, What::Exited { .. }) {
            replicas.retain(|replica| replica.id != event.id);
        }
    }
}
