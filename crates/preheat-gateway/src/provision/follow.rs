//! Readiness pushed, not polled: a replica's own stream of events, followed as long as it lives.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use preheat_core::ReplicaId;
use preheat_runtime::Tasks;
use preheat_runtime::upstream::Place;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::admin::{self, AdminError};
use super::{Event, What};

/// Between two tries to reach a replica: doubled each time. The first is short, since a replica
/// binds its sockets within milliseconds.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// Longest line of a stream that is kept while it is incomplete.
const LONGEST_LINE: usize = 256 * 1024;

/// Tells `events` of every change of phase until the replica's tasks are told to stop.
pub async fn follow(id: ReplicaId, place: Place, events: mpsc::Sender<Event>, tasks: Tasks) {
    let token = tasks.token().clone();
    let following = async {
        let mut pause = PAUSE.0;
        loop {
            let mut heard = false;
            let ended = session(&id, &place, &events, &tasks, &mut heard).await;
            if let Err(error) = ended {
                tracing::trace!(event = "replica_unheard", replica = %id, %error, "not heard of it");
            }
            if heard {
                pause = PAUSE.0;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    };
    tokio::select! {
        () = following => {}
        () = token.cancelled() => {}
    }
}

/// From one connection to its end.
async fn session(
    id: &ReplicaId,
    place: &Place,
    events: &mpsc::Sender<Event>,
    tasks: &Tasks,
    heard: &mut bool,
) -> Result<(), AdminError> {
    let sequence = tell(id, place, events, tasks).await?;
    *heard = true;
    let stream = admin::events(place, sequence, tasks).await?;
    let mut stream = stream.into_body();
    let mut lines = Lines::default();
    while let Some(kinds) = next(&mut stream, &mut lines).await? {
        // What a phase means stands in the passport; several at once are one question.
        if kinds.iter().any(|kind| kind == "phase" || kind == "lagged") {
            tell(id, place, events, tasks).await?;
        }
    }
    Ok(())
}

async fn tell(
    id: &ReplicaId,
    place: &Place,
    events: &mpsc::Sender<Event>,
    tasks: &Tasks,
) -> Result<u64, AdminError> {
    let passport = admin::passport(place, tasks).await?;
    let sequence = passport.sequence;
    let what = What::Passport(Box::new(passport));
    let id = id.clone();
    // A loop that has ended itself does not care.
    let _ = events.send(Event { id, what }).await;
    Ok(sequence)
}

/// The kinds of the events in the next piece of the stream; none at its end.
async fn next(stream: &mut Incoming, lines: &mut Lines) -> Result<Option<Vec<String>>, AdminError> {
    let Some(frame) = stream.frame().await else {
        return Ok(None);
    };
    match frame?.into_data() {
        Ok(data) => Ok(Some(lines.kinds(&data))),
        Err(_) => Ok(Some(Vec::new())),
    }
}

/// Lines of an event stream, however they are cut into pieces.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn kinds(&mut self, data: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(data);
        let mut kinds = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(kind) = line.strip_prefix("event:") {
                kinds.push(kind.trim().to_owned());
            }
        }
        if self.0.len() > LONGEST_LINE {
            self.0.clear();
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let text =
            "event: phase\nid: 1\ndata: {}\n\n:\n\nevent: case\ndata: {}\n\nevent: phase\n\n";
        for size in [1, 2, 7, 1000] {
            let mut lines = Lines::default();
            let pieces = text.as_bytes().chunks(size);
            let kinds: Vec<_> = pieces.flat_map(|piece| lines.kinds(piece)).collect();
            assert_eq!(kinds, ["phase", "case", "phase"], "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.kinds(&[b'x'; 1024]);
        }
        assert!(lines.0.len() <= LONGEST_LINE + 1024);
    }
}
