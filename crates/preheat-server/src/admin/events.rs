//! `GET /v1/events`: what happens to this replica, as it happens.
//!
//! Kinds of its life are numbered and remembered; `Last-Event-ID` goes on where a reader was. Kinds
//! of its traffic come in at most twenty messages a second, to those who ask for them. Nothing is
//! queued for a reader: life waits in a bounded channel, traffic in the ledger, and who is too slow
//! for either is told so.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse as SseResponse;
use axum::response::sse::{Event as Sse, KeepAlive};
use futures_util::{Stream, stream};
use preheat_api::replica::{Answered, Event, GaugesEvent, LeftOut, Open, Outcome, RequestsEvent};
use preheat_runtime::memory;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::board::Numbered;
use crate::clock::millis;
use crate::http::Fault;
use crate::ledger::{Ended, News};
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// Twenty messages a second.
const FRAME: Duration = Duration::from_millis(50);

/// Every fifth frame tells the gauges.
const GAUGES_EVERY: u32 = 5;

/// Requests in one message.
const IN_A_FRAME: usize = 200;

/// Silence longer than twice this means that the connection is dead.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What was asked for besides the events of a life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    requests: bool,
    gauges: bool,
}

pub(super) async fn events(
    State(replica): State<Arc<Replica>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<SseResponse<impl Stream<Item = Result<Sse, Infallible>>>, Fault> {
    let wanted = wanted(&query)?;
    let full = |_| ServeError::Full {
        reason: "streams",
        retry_after: Duration::from_secs(1),
    };
    let followers = Arc::clone(&replica.followers);
    let place_taken = followers.try_acquire_owned().map_err(full)?;
    let epoch = epoch(&replica.id);
    let last = headers
        .get("last-event-id")
        .and_then(|id| place(id.to_str().ok()?, epoch))
        // A number alone may be of another start, which had come further.
        .filter(|last| *last <= replica.board.sequence());
    let reader = Reader::new(replica, wanted, last.unwrap_or(0));
    let messages = stream::unfold((reader, place_taken), |(mut reader, taken)| async move {
        let message = reader.next().await?;
        Some((Ok(message), (reader, taken)))
    });
    Ok(SseResponse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// This start of the process, in the ids of its events.
#[must_use]
pub(super) fn epoch(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// `<epoch>-<number>`, or a number alone from those who do not care. An id of another start names
/// no place in this one.
fn place(id: &str, epoch: &str) -> Option<u64> {
    match id.rsplit_once('-') {
        Some((theirs, number)) if theirs == epoch => number.parse().ok(),
        Some(_) => None,
        None => id.parse().ok(),
    }
}

fn wanted(query: &[(String, String)]) -> Result<Wanted, ServeError> {
    let mut wanted = Wanted::default();
    let kinds = query.iter().filter(|(name, _)| name == "kinds");
    for kind in kinds.flat_map(|(_, kinds)| kinds.split(',')) {
        match kind.trim() {
            "requests" => wanted.requests = true,
            "gauges" => wanted.gauges = true,
            kind if kind.is_empty() || Event::LIFE.contains(&kind) => {}
            other => {
                let known = Event::TRAFFIC.join(", ");
                let text = format!("no kind of event is called {other}: ask for {known}");
                return Err(ServeError::Malformed(text));
            }
        }
    }
    Ok(wanted)
}

/// One connection's place in everything that is told.
struct Reader {
    replica: Arc<Replica>,
    wanted: Wanted,
    /// Messages that are due now.
    due: VecDeque<Sse>,
    latest: watch::Receiver<u64>,
    /// Number of the last event that is told or due.
    reached: u64,
    frames: Interval,
    frame: u32,
    /// How much of the ledger was read, and how much there was at the beginning.
    read: u64,
    backlog: u64,
    open: Vec<u64>,
}

impl Reader {
    fn new(replica: Arc<Replica>, wanted: Wanted, last: u64) -> Self {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reader = Reader {
            backlog: replica.ledger.written(),
            wanted,
            due: VecDeque::new(),
            latest: replica.board.latest(),
            reached: last,
            frames,
            frame: 0,
            read: 0,
            open: Vec::new(),
            replica,
        };
        reader.catch_up();
        reader
    }

    fn catch_up(&mut self) {
        let events = self.replica.board.events_after(self.reached);
        let next = self.reached + 1;
        let oldest = events.first().map_or(next, |event| event.sequence);
        if self.reached > 0 && oldest > next {
            self.due.push_back(lagged(oldest - next));
        }
        if let Some(last) = events.last() {
            self.reached = last.sequence;
        }
        let epoch = epoch(&self.replica.id);
        self.due
            .extend(events.iter().map(|event| numbered(event, epoch)));
    }

    async fn next(&mut self) -> Option<Sse> {
        let frames = self.wanted != Wanted::default();
        loop {
            if let Some(message) = self.due.pop_front() {
                return Some(message);
            }
            tokio::select! {
                biased;
                told = self.latest.changed() => match told {
                    Ok(()) => self.catch_up(),
                    Err(_) => return None,
                },
                _ = self.frames.tick(), if frames => self.traffic(),
            }
        }
    }

    fn traffic(&mut self) {
        if self.wanted.requests
            && let Some(event) = self.requests()
        {
            self.due.push_back(message(&Event::Requests(event)));
        }
        if self.wanted.gauges && self.frame.is_multiple_of(GAUGES_EVERY) {
            let gauges = gauges(&self.replica);
            self.due.push_back(message(&Event::Gauges(gauges)));
        }
        self.frame = self.frame.wrapping_add(1);
    }

    /// None when nothing has changed.
    fn requests(&mut self) -> Option<RequestsEvent> {
        let ledger = &self.replica.ledger;
        // What there was before is told piece by piece and in full, what comes now at once.
        let most = (self.read < self.backlog).then_some(IN_A_FRAME);
        let News {
            ended,
            missed,
            reached,
        } = ledger.since(self.read, most);
        self.read = reached;
        let (open, open_total) = ledger.open(IN_A_FRAME);
        let numbers: Vec<u64> = open.iter().map(|(number, _)| *number).collect();
        if ended.is_empty() && missed == 0 && numbers == self.open {
            return None;
        }
        self.open = numbers;
        let slo = self.replica.settings.criteria.slo_p95;
        let (answered, left_out) = chosen(&ended, |one| {
            !matches!(one.outcome, Outcome::Ok) || one.took > slo
        });
        Some(RequestsEvent {
            at_ms: millis(self.replica.now().since_start()),
            answered,
            left_out: LeftOut { missed, ..left_out },
            open: open
                .iter()
                .map(|(number, at)| Open(*number, millis(at.since_start())))
                .collect(),
            open_total,
        })
    }
}

/// As many as fit into a message: breaches first, then evenly of the rest, in order.
fn chosen(ended: &[Ended], breach: impl Fn(&Ended) -> bool) -> (Vec<Answered>, LeftOut) {
    let (breaches, in_time): (Vec<&Ended>, Vec<&Ended>) = ended.iter().partition(|one| breach(one));
    let mut kept = evenly(&breaches, IN_A_FRAME);
    let left_out = LeftOut {
        breaches: breaches.len() - kept.len(),
        in_time: in_time.len().saturating_sub(IN_A_FRAME - kept.len()),
        missed: 0,
    };
    kept.extend(evenly(&in_time, IN_A_FRAME - kept.len()));
    kept.sort_unstable_by_key(|one| one.number);
    let answered = kept.iter().map(|one| {
        let arrival = millis(one.arrival.since_start());
        Answered(one.number, arrival, millis(one.took), one.outcome)
    });
    (answered.collect(), left_out)
}

fn evenly<'a>(all: &[&'a Ended], most: usize) -> Vec<&'a Ended> {
    let count = all.len().min(most);
    (0..count)
        .map(|index| all[index * all.len() / count])
        .collect()
}

fn gauges(replica: &Replica) -> GaugesEvent {
    let sums = replica.ledger.sums();
    let totals = &replica.metrics.totals;
    let usage = memory::usage().unwrap_or_default();
    let rows = totals.queued_rows.load(Ordering::Relaxed);
    GaugesEvent {
        at_ms: millis(replica.now().since_start()),
        open: sums.open,
        queued_rows: usize::try_from(rows).unwrap_or(usize::MAX),
        resident_bytes: usage.resident,
        peak_bytes: usage.peak,
        served: sums.served,
        refused: sums.refused,
        failed: sums.failed,
        cold: totals.cold.load(Ordering::Relaxed),
        batches: totals.batches.load(Ordering::Relaxed),
        rows: totals.rows.load(Ordering::Relaxed),
    }
}

fn numbered(numbered: &Numbered, epoch: &str) -> Sse {
    message(&numbered.event).id(format!("{epoch}-{}", numbered.sequence))
}

fn message(event: &Event) -> Sse {
    // These shapes always serialise; an empty event is still numbered.
    let message = Sse::default().event(event.kind());
    message.json_data(event).unwrap_or_default()
}

fn lagged(missed: u64) -> Sse {
    Sse::default().event("lagged").data(missed.to_string())
}

#[cfg(test)]
mod tests {
    use preheat_core::Moment;

    use super::*;

    fn ended(number: u64, ms: u64) -> Ended {
        Ended {
            number,
            arrival: Moment::START,
            took: Duration::from_millis(ms),
            outcome: Outcome::Ok,
        }
    }

    #[test]
    fn ids_of_this_start_name_a_place_and_others_do_not() {
        assert_eq!(place("7f3a-12", "7f3a"), Some(12));
        assert_eq!(place("12", "7f3a"), Some(12));
        for id in ["beef-12", "7f3a-x", "", "x", "-"] {
            assert_eq!(place(id, "7f3a"), None, "{id}");
        }
    }

    #[test]
    fn traffic_is_told_to_those_who_ask_and_unknown_kinds_are_named() {
        let ask = |kinds: &str| wanted(&[("kinds".to_owned(), kinds.to_owned())]);
        let both = Wanted {
            requests: true,
            gauges: true,
        };
        assert_eq!(ask("phase, requests,gauges"), Ok(both));
        assert_eq!(ask(""), Ok(Wanted::default()));
        assert!(ask("request").is_err_and(|error| error.to_string().contains("requests, gauges")));
    }

    #[test]
    fn breaches_come_first_and_what_is_left_out_is_counted() {
        let all: Vec<Ended> = (0..1000)
            .map(|n| ended(n, if n % 10 == 0 { 500 } else { 1 }))
            .collect();
        let (answered, left_out) = chosen(&all, |one| one.took > Duration::from_millis(200));
        assert_eq!(answered.len(), IN_A_FRAME);
        assert_eq!(answered.iter().filter(|one| one.2 > 200.0).count(), 100);
        assert_eq!((left_out.breaches, left_out.in_time), (0, 800));
        assert!(answered.is_sorted_by_key(|one| one.0));
        let (few, none) = chosen(&all[..3], |_| true);
        assert_eq!((few.len(), none), (3, LeftOut::default()));
    }
}
