//! The threads of one execution context: the caller and, beside it, workers that wait for steps.
//!
//! A step is published by writing one word, the ticket: which step this is (its generation) and
//! how many of its parts nobody has taken yet. Whoever lowers that number owns a part. The caller
//! takes parts too, and returns when every part is *finished*; it never waits for a worker that
//! took none, so a worker that wakes late costs nothing.
//!
//! Workers spin for some microseconds after their last part, because the next step of a forward
//! pass is that near, and then sleep. Between requests the pool costs no CPU time.

mod placement;

use std::cell::UnsafeCell;
use std::hint;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use rustix::thread::{Pid, gettid};

use super::isa::Kernels;
use super::ops::{Op, Scratch};
use placement::Placement;

/// Looks at the ticket before a worker sleeps, or before the caller lets others run: 50 to 150
/// microseconds, several times what lies between two steps.
const SPINS: usize = 4000;

pub(super) struct Pool {
    kernels: Kernels,
    /// The caller's.
    scratch: Scratch,
    board: Arc<Board>,
    workers: Vec<Worker>,
    placement: Placement,
}

/// A part panicked. That is a bug; the request fails and the threads stay.
#[derive(Debug)]
pub(super) struct PartPanicked;

struct Worker {
    state: Arc<WorkerState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct WorkerState {
    asleep: AtomicBool,
    /// Set when the worker has started.
    id: OnceLock<Pid>,
}

impl Pool {
    /// One thread for each scratch; the first is the caller's.
    pub(super) fn start(
        kernels: Kernels,
        scratch: Scratch,
        others: Vec<Scratch>,
        pin: bool,
    ) -> io::Result<Self> {
        let board = Arc::new(Board::new(kernels));
        let mut pool = Pool {
            kernels,
            scratch,
            placement: Placement::new(pin, others.len()),
            board,
            workers: Vec::with_capacity(others.len()),
        };
        for (index, scratch) in others.into_iter().enumerate() {
            let state = Arc::new(WorkerState::default());
            let (board, own) = (Arc::clone(&pool.board), Arc::clone(&state));
            let thread = thread::Builder::new()
                .name(format!("compute-{}", index + 1))
                .spawn(move || board.work(&own, scratch))?;
            pool.workers.push(Worker {
                state,
                thread: Some(thread),
            });
        }
        Ok(pool)
    }

    /// Prepares for the steps of one forward pass.
    pub(super) fn settle(&mut self) {
        self.placement
            .settle(self.workers.iter().map(|worker| &worker.state.id));
    }

    pub(super) fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs all parts of `op`.
    pub(super) fn run(&mut self, op: &Op<'_>) -> Result<(), PartPanicked> {
        let parts = op.parts();
        if parts <= 1 || self.workers.is_empty() {
            let kernels = self.kernels;
            let all = || (0..parts).for_each(|part| kernels.run(op, part, &mut self.scratch));
            return catch_unwind(AssertUnwindSafe(all)).map_err(|_| PartPanicked);
        }
        self.board.publish(op, parts);
        for worker in self.workers.iter().take(parts - 1) {
            worker.wake();
        }
        while self.board.take_part(&mut self.scratch) {}
        self.board.finish(parts)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.board.stop.store(true, SeqCst);
        for worker in &mut self.workers {
            worker.wake();
            // A worker catches its panics, and nothing is left to do with one here.
            let _ = worker.thread.take().map(JoinHandle::join);
        }
    }
}

impl Worker {
    fn wake(&self) {
        if self.state.asleep.swap(false, SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

/// What caller and workers share.
struct Board {
    kernels: Kernels,
    /// Generation in the upper half, parts that nobody has taken in the lower half.
    ticket: AtomicU64,
    finished: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    step: UnsafeCell<Step>,
}

/// The published step. The lifetime is a lie that `finish` makes good: it returns when no one looks
/// at the step any more.
#[derive(Clone, Copy)]
struct Step {
    op: Option<*const Op<'static>>,
    parts: usize,
}

// SAFETY: `step` is written by `publish` only, when no part of the last step is left, and read only
// by owners of a part. `Op` itself may be shared: it is slices and `Shared`.
#[expect(
    unsafe_code,
    reason = "the step is shared by the protocol that the module describes"
)]
unsafe impl Sync for Board {}
// SAFETY: as above.
#[expect(
    unsafe_code,
    reason = "the step is shared by the protocol that the module describes"
)]
unsafe impl Send for Board {}

/// The pointer to a step hides from the compiler what it should check.
fn shared_between_threads<T: Sync>(_: &T) {}

impl Board {
    fn new(kernels: Kernels) -> Self {
        Board {
            kernels,
            ticket: AtomicU64::new(0),
            finished: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            step: UnsafeCell::new(Step { op: None, parts: 0 }),
        }
    }

    #[expect(unsafe_code, reason = "writes the step that no one reads yet")]
    fn publish(&self, op: &Op<'_>, parts: usize) {
        shared_between_threads(op);
        let generation = (self.ticket.load(SeqCst) >> 32).wrapping_add(1);
        self.finished.store(0, SeqCst);
        let op = Some(std::ptr::from_ref(op).cast());
        // SAFETY: all parts of the last step are finished, and none of this one can be taken yet.
        unsafe { *self.step.get() = Step { op, parts } };
        self.ticket.store(generation << 32 | parts as u64, SeqCst);
    }

    /// Computes one part that nobody has taken, if there is one.
    #[expect(unsafe_code, reason = "reads the step whose part it owns")]
    fn take_part(&self, scratch: &mut Scratch) -> bool {
        let mut ticket = self.ticket.load(SeqCst);
        let left = loop {
            let left = ticket & 0xffff_ffff;
            if left == 0 {
                return false;
            }
            match self
                .ticket
                .compare_exchange_weak(ticket, ticket - 1, SeqCst, SeqCst)
            {
                Ok(_) => break left as usize,
                Err(now) => ticket = now,
            }
        };
        // SAFETY: this thread owns a part that is not finished, so `publish` is not running and the
        // caller has not returned from `run`.
        let (op, parts) = unsafe {
            let step = *self.step.get();
            (
                &*step.op.expect("a ticket is only handed out for a step"),
                step.parts,
            )
        };
        let work = || self.kernels.run(op, parts - left, scratch);
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.panicked.store(true, SeqCst);
        }
        self.finished.fetch_add(1, SeqCst);
        true
    }

    /// Waits until the parts that others have taken are finished too.
    fn finish(&self, parts: usize) -> Result<(), PartPanicked> {
        let mut looks = 0;
        while self.finished.load(SeqCst) < parts {
            looks += 1;
            match looks < SPINS {
                true => hint::spin_loop(),
                // The one who is late may be waiting for this CPU.
                false => thread::yield_now(),
            }
        }
        match self.panicked.swap(false, SeqCst) {
            true => Err(PartPanicked),
            false => Ok(()),
        }
    }

    /// A worker's life.
    fn work(&self, state: &WorkerState, mut scratch: Scratch) {
        let WorkerState { asleep, id } = state;
        id.get_or_init(gettid);
        while !self.stop.load(SeqCst) {
            if (0..SPINS).any(|_| self.has_work()) {
                while self.take_part(&mut scratch) {}
                continue;
            }
            asleep.store(true, SeqCst);
            // What was published before `asleep` was seen must not be slept through.
            if self.has_work() || self.stop.load(SeqCst) {
                asleep.store(false, SeqCst);
            }
            while asleep.load(SeqCst) {
                thread::park();
            }
        }
    }

    fn has_work(&self) -> bool {
        hint::spin_loop();
        self.ticket.load(SeqCst) & 0xffff_ffff > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Pooling;
    use crate::native::Isa;
    use crate::native::ops::{Pooled, Shared};

    /// Row `i` of the answer is the mean of rows `2i` and `2i + 1`.
    fn pooled<'a>(hidden: &'a [f32], spans: &'a [(usize, usize)], out: &'a mut [f32]) -> Op<'a> {
        let (pooling, normalize) = (Pooling::Mean, false);
        Op::Pooled(Pooled {
            hidden,
            spans,
            pooling,
            normalize,
            out: Shared::new(out, 3),
        })
    }

    #[test]
    fn a_part_that_panics_fails_its_step_and_no_other() {
        let kernels = Isa::choose(None).unwrap();
        for others in 0..4 {
            let scratch = || Scratch::of(8, 1, kernels.panel).unwrap();
            let others = (0..others).map(|_| scratch()).collect();
            let mut pool = Pool::start(kernels, scratch(), others, true).unwrap();
            let hidden: Vec<f32> = (0..600).map(|x| x as f32).collect();
            let mut spans: Vec<_> = (0..100).map(|at| (2 * at, 2 * at + 2)).collect();
            for round in 0..300 {
                pool.settle();
                let mut out = vec![0.0; 300];
                let bad = round == 100;
                spans[50] = if bad { (900, 901) } else { (100, 102) };
                let outcome = pool.run(&pooled(&hidden, &spans, &mut out));
                assert_eq!(outcome.is_err(), bad);
                for row in (0..100).filter(|_| !bad) {
                    assert_eq!(
                        out[3 * row],
                        (6 * row) as f32 + 1.5,
                        "round {round}, row {row}"
                    );
                }
            }
        }
    }
}
