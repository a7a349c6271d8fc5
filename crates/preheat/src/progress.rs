//! A start on the terminal of those who wait for it: what is done, what is being done, what is to
//! come. Only looks on: it reads the replica's facts and changes nothing.

mod stages;

use std::convert::Infallible;
use std::io::{Stderr, stderr};
use std::sync::Arc;
use std::time::Duration;

use preheat_core::{Moment, Phase};
use preheat_runtime::edge::Address;
use preheat_server::{Facts, LIFECYCLE, Replica, human};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

pub use self::stages::transfer;

use crate::exit::explain;
use crate::out::say;
use crate::report;
use crate::table::plain;
use crate::terminal::{Block, Line, Look};

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);

pub struct Progress {
    replica: Arc<Replica>,
    facts: watch::Receiver<Facts>,
    block: Block<Stderr>,
    /// A block is on the screen.
    is_up: bool,
    /// The phase that was last said in a line of its own.
    told: Option<Phase>,
}

/// The log level beside a block: it says what phases would say, and more of it.
pub fn log_level() -> String {
    format!("warn,{LIFECYCLE}=off")
}

/// Whether there is an end to wait for no longer.
pub fn is_settled(phase: &Phase) -> bool {
    *phase == Phase::Ready || phase.is_over()
}

/// Shows a replica's life, if there is something to show it on.
pub async fn look_on(progress: Option<&mut Progress>) -> Infallible {
    match progress {
        Some(progress) => progress.life().await,
        None => std::future::pending().await,
    }
}

impl Progress {
    pub fn of(replica: Arc<Replica>) -> Self {
        Progress {
            facts: replica.watch(),
            block: Block::new(stderr(), Look::here()),
            is_up: false,
            told: None,
            replica,
        }
    }

    /// Shows one start until it is over, one way or the other.
    pub async fn start(&mut self) {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if is_settled(&self.phase()) {
                return self.leave();
            }
            self.block.draw(&self.lines());
            self.is_up = true;
            tokio::select! {
                _ = frames.tick() => {}
                // The replica is held here, so that its facts cannot end before it.
                _ = self.facts.wait_for(|facts| is_settled(&facts.phase)) => {}
            }
        }
    }

    async fn life(&mut self) -> Infallible {
        loop {
            let phase = self.phase();
            if !is_settled(&phase) {
                self.start().await;
                continue;
            }
            self.tell(&phase);
            let _ = self.facts.wait_for(|facts| facts.phase != phase).await;
        }
    }

    /// What came after the last drawing: the end of a replica may be faster than a frame.
    pub fn last_look(&mut self) {
        let phase = self.phase();
        if self.is_up {
            self.leave();
        }
        if self.told.as_ref() != Some(&phase) {
            self.tell(&phase);
        }
    }

    fn leave(&mut self) {
        self.block.leave(&self.lines());
        self.is_up = false;
    }

    /// A phase that does not end by itself, as a line that stays.
    fn tell(&mut self, phase: &Phase) {
        let after = self.facts.borrow().history.last().map(|h| h.1);
        let report = self.replica.report(true);
        match phase {
            Phase::Ready => {
                let after = after.unwrap_or_default().since_start();
                say(report::ending(&report, Some(after)).trim_end());
            }
            Phase::Failed(_) => {
                let errors = report.models.iter().filter_map(|m| m.error.as_ref());
                errors.for_each(|error| say(&explain(error)));
            }
            phase => say(phase.name()),
        }
        self.told = Some(phase.clone());
    }

    fn phase(&self) -> Phase {
        self.facts.borrow().phase.clone()
    }

    fn lines(&self) -> Vec<Line> {
        let (facts, now) = (self.facts.borrow(), self.replica.now());
        let mut lines = vec![Line {
            mark: None,
            text: self.title(&facts),
        }];
        lines.extend(stages::lines(&facts, now, self.block.look()));
        lines
    }

    fn title(&self, facts: &Facts) -> String {
        let model = plain(self.replica.service.name.as_str());
        let engine = facts.engine.as_ref().map_or("", |engine| &engine.name);
        let door = match &self.replica.addresses.http {
            Address::Tcp(address) => format!("  http {address}"),
            Address::Unix(_) | Address::Memory => String::new(),
        };
        let alive = facts.waterfall.spans().first();
        let alive = alive.map_or(Moment::START, |start| Moment::START + start.took);
        let alive = human::time(alive.since_start());
        format!("preheat  {model}  {engine}  alive after {alive}{door}")
    }
}
