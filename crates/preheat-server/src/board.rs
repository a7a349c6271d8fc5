//! What is known about this replica, for everyone to read.
//!
//! The lifecycle driver writes the phase; each stage of a start writes what it found. Readers get
//! a consistent picture and a stream of what changed; nobody else writes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use preheat_api::replica::{CaseEvent, DecisionEvent, Event, PhaseEvent};
use preheat_api::report::FIRST_REQUEST;
use preheat_core::warmup::Path;
use preheat_core::{
    Because, CaseReport, Check, Moment, Pass, Phase, Probes, Span, WarmupReport, Waterfall,
};
use preheat_engine::EngineInfo;
use tokio::sync::watch;

use crate::clock::{Clock, millis};
use crate::report;

/// Events that a slow reader may be behind; beyond, it is told that it missed some.
const EVENTS: usize = 1024;

/// Stages remembered: a cold start has tens.
const SPANS: usize = 256;

/// Everything that reports are made from.
#[derive(Debug, Clone)]
pub struct Facts {
    pub phase: Phase,
    pub probes: Probes,
    pub history: Vec<(&'static str, Moment)>,
    pub source: Option<String>,
    pub revision: Option<String>,
    pub engine: Option<EngineInfo>,
    pub waterfall: Waterfall,
    pub warmup: WarmupReport,
    pub checks: Vec<Check>,
    pub pass: Option<Arc<Pass>>,
    /// What the first users would have paid on top; of the cold start, whatever is run later.
    pub saved: Option<Duration>,
    /// What is being done right now, for people: `case 5 of 9: 4x64`.
    pub doing: Option<Doing>,
    /// Case runs that were planned in all, to tell how far the warm-up is.
    pub planned_runs: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Fetching {
        file: String,
        done: u64,
        total: Option<u64>,
    },
    Case {
        number: usize,
        of: usize,
        name: String,
        /// The last one that was run, and what it took.
        round: Option<(usize, Duration)>,
    },
    Attempt {
        number: usize,
    },
    /// For somebody else's server, or for another process's fetch.
    Waiting {
        what: String,
    },
}

/// One event and its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    pub sequence: u64,
    pub event: Event,
}

#[derive(Debug)]
pub struct Board {
    facts: watch::Sender<Facts>,
    /// Those that are remembered.
    log: Mutex<VecDeque<Numbered>>,
    /// Number of the last event.
    latest: watch::Sender<u64>,
    clock: Clock,
}

impl Board {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let facts = Facts {
            phase: Phase::Starting,
            probes: Probes::of(&Phase::Starting, false),
            history: Vec::new(),
            source: None,
            revision: None,
            engine: None,
            waterfall: Waterfall::default(),
            warmup: WarmupReport::default(),
            checks: Vec::new(),
            pass: None,
            saved: None,
            doing: None,
            planned_runs: 0,
        };
        Board {
            facts: watch::Sender::new(facts),
            log: Mutex::default(),
            latest: watch::Sender::new(0),
            clock,
        }
    }

    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A consistent picture. Held only for as long as it is read: writers wait for it.
    pub fn read<T>(&self, look: impl FnOnce(&Facts) -> T) -> T {
        look(&self.facts.borrow())
    }

    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Facts> {
        self.facts.subscribe()
    }

    /// The driver's: the phase has changed.
    pub fn enter(&self, phase: &Phase, probes: Probes, history: &[(&'static str, Moment)]) {
        self.facts.send_modify(|facts| {
            // A new try starts with an empty page.
            let retry = matches!(facts.phase, Phase::Failed(_)) && *phase == Phase::Fetching;
            facts.phase = phase.clone();
            facts.probes = probes;
            facts.history = history.to_vec();
            facts.doing = None;
            if retry {
                facts.waterfall = Waterfall::default();
                facts.warmup = WarmupReport::default();
                facts.checks.clear();
                facts.engine = None;
                facts.saved = None;
            }
            self.tell_phase(facts);
        });
    }

    /// A replica that serves was warmed and proven again, and goes on in its phase: who waits for that
    /// is told.
    pub fn proven_again(&self) {
        self.facts.send_modify(|facts| {
            facts.doing = None;
            self.tell_phase(facts);
        });
    }

    /// While the facts are held: nobody sees a phase whose event is still to come.
    fn tell_phase(&self, facts: &Facts) {
        self.publish(Event::Phase(PhaseEvent {
            phase: facts.phase.name().into(),
            stage: facts.phase.group().name().into(),
            at_ms: millis(self.clock.now().since_start()),
            detail: report::detail(facts),
        }));
    }

    pub fn set(&self, change: impl FnOnce(&mut Facts)) {
        self.facts.send_modify(change);
    }

    /// One more stage of the start, which is over once the replica is ready: what runs again then is
    /// none. Only the first user's request still is.
    pub fn span(&self, span: Span) {
        let is_late = |facts: &Facts| facts.phase == Phase::Ready && span.stage != FIRST_REQUEST;
        if self.read(|facts| facts.waterfall.spans().len() >= SPANS || is_late(facts)) {
            return;
        }
        let event = Event::Stage(report::stage(&span));
        self.facts.send_modify(|facts| facts.waterfall.push(span));
        self.publish(event);
    }

    /// One more round of a case was run.
    pub fn round(
        &self,
        name: &str,
        shape: &dyn std::fmt::Display,
        path: Path,
        round: usize,
        took: Duration,
    ) {
        self.facts.send_modify(|facts| {
            if let Some(Doing::Case { round: last, .. }) = &mut facts.doing {
                *last = Some((round, took));
            }
        });
        self.publish(Event::Case(CaseEvent {
            name: name.into(),
            shape: shape.to_string(),
            path: path.name().into(),
            round,
            ms: millis(took),
            at_ms: millis(self.clock.now().since_start()),
        }));
    }

    /// A case is done on one path; it replaces what an earlier attempt found, but for the first run.
    pub fn case(&self, case: CaseReport) {
        self.facts.send_modify(|facts| {
            let same = |c: &CaseReport| {
                c.name == case.name && c.path == case.path && c.instance == case.instance
            };
            match facts.warmup.cases.iter_mut().find(|c| same(c)) {
                Some(earlier) => *earlier = case.again(earlier),
                None => facts.warmup.cases.push(case),
            }
        });
    }

    pub fn judged(&self, checks: &[Check]) {
        self.facts
            .send_modify(|facts| facts.checks = checks.to_vec());
        for check in checks {
            self.publish(Event::Check(report::check(check)));
        }
    }

    /// Something was decided while users are served.
    pub fn decided(&self, action: &str, because: &Because) {
        tracing::info!(event = "decision", action, reason = %because, "{action}: {}", because.rule);
        let inputs = because.inputs.iter();
        self.publish(Event::Decision(DecisionEvent {
            at_ms: millis(self.clock.now().since_start()),
            action: action.into(),
            reason: because.rule.into(),
            inputs: inputs
                .filter_map(|input| Some((input.name.into(), input.value.number()?)))
                .collect(),
            detail: because.to_string(),
        }));
    }

    /// Events after `sequence` as far as they are remembered. What is no longer remembered shows in
    /// the numbers.
    #[must_use]
    pub fn events_after(&self, sequence: u64) -> Vec<Numbered> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let after = log.iter().filter(|e| e.sequence > sequence);
        after.cloned().collect()
    }

    /// The number of the last event, and every further one.
    #[must_use]
    pub fn latest(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    #[must_use]
    pub fn sequence(&self) -> u64 {
        *self.latest.borrow()
    }

    fn publish(&self, event: Event) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = self.sequence() + 1;
        if log.len() == EVENTS {
            log.pop_front();
        }
        log.push_back(Numbered { sequence, event });
        self.latest.send_replace(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever follows asks for what came after the number that he has reached.
    #[test]
    fn the_last_events_are_remembered_under_their_numbers() {
        let board = Board::new(Clock::started_at(std::time::Instant::now()));
        let latest = board.latest();
        for number in 1..=EVENTS + 5 {
            board.publish(Event::Phase(PhaseEvent {
                phase: "warming".into(),
                stage: number.to_string(),
                at_ms: 0.0,
                detail: String::new(),
            }));
        }
        let newest = EVENTS as u64 + 5;
        assert_eq!((*latest.borrow(), board.sequence()), (newest, newest));
        assert_eq!(board.events_after(newest), []);
        for (reached, told) in [(0, 6..=newest), (5, 6..=newest), (9, 10..=newest)] {
            let events = board.events_after(reached);
            let numbers = events.iter().map(|event| event.sequence);
            assert!(numbers.eq(told), "after {reached}");
            for Numbered { sequence, event } in events {
                let Event::Phase(phase) = event else {
                    panic!("{event:?}")
                };
                assert_eq!(phase.stage, sequence.to_string());
            }
        }
    }
}
