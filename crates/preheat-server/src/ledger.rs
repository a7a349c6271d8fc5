//! Users' requests one by one: who waits, and how the last ones ended.
//!
//! Written twice for each request by the front doors, read by event streams. Bounded in both
//! directions; a reader that comes too late is told how many it missed. A lock is taken for a push
//! or a copy and for nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use preheat_api::replica::Outcome;
use preheat_core::Moment;
use tokio::time::Instant;

use crate::clock::Clock;

/// Ended requests that are remembered.
const ENDED: usize = 8192;

/// Open requests that are known; who comes beyond is counted when it ends.
const OPEN: usize = 8192;

/// One request that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// In order of arrival.
    pub number: u64,
    pub arrival: Moment,
    pub took: std::time::Duration,
    pub outcome: Outcome,
}

/// What a reader has not seen yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct News {
    pub ended: Vec<Ended>,
    /// Overwritten before they were read.
    pub missed: u64,
    /// How far this reader has read now.
    pub reached: u64,
}

/// Sums since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub served: u64,
    pub refused: u64,
    pub failed: u64,
    pub open: usize,
}

#[derive(Debug)]
pub struct Ledger {
    clock: Clock,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    arrived: u64,
    open: BTreeMap<u64, Moment>,
    ended: VecDeque<Ended>,
    written: u64,
    sums: Sums,
}

/// A request that is open until this is told how it ended, or dropped because its client left.
#[derive(Debug)]
pub struct Visit {
    ledger: Arc<Ledger>,
    number: u64,
    at: Instant,
    outcome: Outcome,
}

impl Ledger {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let book = Mutex::default();
        Ledger { clock, book }
    }

    #[must_use]
    pub fn arrive(self: &Arc<Self>, at: Instant) -> Visit {
        let arrival = self.clock.at(at.into_std());
        let mut book = self.lock();
        book.arrived += 1;
        let number = book.arrived;
        if book.open.len() < OPEN {
            book.open.insert(number, arrival);
        }
        drop(book);
        Visit {
            ledger: Arc::clone(self),
            number,
            at,
            outcome: Outcome::Gone,
        }
    }

    /// Requests that ended after the first `seen`, oldest first, `most` of them if a number is given.
    #[must_use]
    pub fn since(&self, seen: u64, most: Option<usize>) -> News {
        let book = self.lock();
        let oldest = book.written - book.ended.len() as u64;
        let from = seen.clamp(oldest, book.written);
        let skip = usize::try_from(from - oldest).unwrap_or(usize::MAX);
        let ended: Vec<Ended> = book
            .ended
            .iter()
            .skip(skip)
            .take(most.unwrap_or(usize::MAX))
            .copied()
            .collect();
        News {
            missed: oldest.saturating_sub(seen),
            reached: from + ended.len() as u64,
            ended,
        }
    }

    /// How many have ended so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.lock().written
    }

    /// The oldest open ones, and how many there are.
    #[must_use]
    pub fn open(&self, most: usize) -> (Vec<(u64, Moment)>, usize) {
        let book = self.lock();
        let oldest = book.open.iter().take(most).map(|(n, at)| (*n, *at));
        (oldest.collect(), book.open.len())
    }

    #[must_use]
    pub fn sums(&self) -> Sums {
        let book = self.lock();
        Sums {
            open: book.open.len(),
            ..book.sums
        }
    }

    fn end(&self, visit: &Visit) {
        let ended = Ended {
            number: visit.number,
            arrival: self.clock.at(visit.at.into_std()),
            took: visit.at.elapsed(),
            outcome: visit.outcome,
        };
        let mut book = self.lock();
        book.open.remove(&visit.number);
        if book.ended.len() == ENDED {
            book.ended.pop_front();
        }
        book.ended.push_back(ended);
        book.written += 1;
        match visit.outcome {
            Outcome::Ok => book.sums.served += 1,
            Outcome::Refused => book.sums.refused += 1,
            Outcome::Failed => book.sums.failed += 1,
            Outcome::Bad | Outcome::Gone => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    pub fn answered(mut self, status: StatusCode) {
        self.outcome = match status.as_u16() {
            401 | 403 | 429 | 503 => Outcome::Refused,
            400..=499 => Outcome::Bad,
            500..=599 => Outcome::Failed,
            _ => Outcome::Ok,
        };
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.ledger.end(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Arc<Ledger> {
        Arc::new(Ledger::new(Clock::started_at(std::time::Instant::now())))
    }

    #[test]
    fn a_request_is_open_until_it_ends_and_then_told_once() {
        let ledger = ledger();
        let (one, two) = (ledger.arrive(Instant::now()), ledger.arrive(Instant::now()));
        let (open, all) = ledger.open(1);
        assert_eq!((open.len(), open[0].0, all), (1, 1, 2));
        two.answered(StatusCode::OK);
        drop(one);
        let news = ledger.since(0, None);
        let told: Vec<_> = news.ended.iter().map(|e| (e.number, e.outcome)).collect();
        assert_eq!(told, [(2, Outcome::Ok), (1, Outcome::Gone)]);
        assert!(ledger.since(news.reached, None).ended.is_empty());
        let sums = ledger.sums();
        assert_eq!((sums.served, sums.open), (1, 0));
    }

    #[test]
    fn who_reads_too_late_is_told_what_was_missed() {
        let ledger = ledger();
        for _ in 0..ENDED + 10 {
            ledger
                .arrive(Instant::now())
                .answered(StatusCode::SERVICE_UNAVAILABLE);
        }
        let news = ledger.since(4, Some(100));
        assert_eq!((news.missed, news.ended.len(), news.reached), (6, 100, 110));
        assert_eq!(news.ended[0].number, 11);
        assert_eq!(ledger.since(news.reached, None).missed, 0);
        assert_eq!(ledger.sums().refused, ENDED as u64 + 10);
    }

    #[test]
    fn a_status_says_whose_fault_it_was() {
        let ledger = ledger();
        for status in [200, 401, 404, 429, 500, 503, 504] {
            let status = StatusCode::from_u16(status).expect("a status");
            ledger.arrive(Instant::now()).answered(status);
        }
        let outcomes: Vec<_> = ledger
            .since(0, None)
            .ended
            .iter()
            .map(|e| e.outcome)
            .collect();
        use Outcome::{Bad, Failed, Ok, Refused};
        assert_eq!(
            outcomes,
            [Ok, Refused, Bad, Refused, Failed, Refused, Failed]
        );
    }
}
