//! The rows that wait, and the requests that they belong to.

use std::collections::HashMap;

use preheat_core::Moment;
use preheat_core::batching::Waiting;
use preheat_engine::{Matrix, RunError, TokenBatch};
use tokio::time::Instant;

use super::{Answer, Submission};
use crate::instances::Ran;

/// Rows in order of arrival. `rows` and `waiting` run in parallel: the decision reads only the
/// latter.
#[derive(Default)]
pub(super) struct Queue {
    rows: Vec<Row>,
    waiting: Vec<Waiting>,
    requests: HashMap<u64, Request>,
    next: u64,
}

struct Row {
    request: u64,
    /// Place of the row in its request.
    place: usize,
    tokens: Vec<u32>,
}

struct Request {
    submission: Submission,
    since: Moment,
    rows: Vec<Option<Vec<f32>>>,
    answer: Answer,
}

/// Rows taken out to run as one batch.
pub(super) struct Chosen {
    rows: Vec<Row>,
    /// Requests in it that are not part of a warm-up.
    pub(super) real_requests: usize,
}

impl Chosen {
    pub(super) fn batch(&self) -> TokenBatch {
        self.rows.iter().map(|row| row.tokens.as_slice()).collect()
    }

    pub(super) fn tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).sum()
    }
}

impl Queue {
    pub(super) fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    pub(super) fn tokens(&self) -> usize {
        self.rows.iter().map(|row| row.tokens.len()).sum()
    }

    /// `classes`: the class and the cost of each row.
    pub(super) fn push(
        &mut self,
        mut submission: Submission,
        classes: &[(usize, usize)],
        now: Moment,
    ) {
        let request = self.next;
        self.next += 1;
        let rows = std::mem::take(&mut submission.rows);
        let answer = Answer {
            matrix: Matrix {
                rows: rows.len(),
                cols: 0,
                data: Vec::new(),
            },
            queued: std::time::Duration::ZERO,
            inference: std::time::Duration::ZERO,
        };
        let empty = vec![None; rows.len()];
        for (place, (tokens, &(class, cost))) in rows.into_iter().zip(classes).enumerate() {
            self.rows.push(Row {
                request,
                place,
                tokens,
            });
            self.waiting.push(Waiting {
                class,
                cost,
                since: now,
            });
        }
        self.requests.insert(
            request,
            Request {
                submission,
                since: now,
                rows: empty,
                answer,
            },
        );
    }

    /// Forgets requests that nobody waits for any more.
    pub(super) fn drop_abandoned(&mut self) {
        let now = Instant::now();
        let before = self.requests.len();
        self.requests
            .retain(|_, r| !r.submission.reply.is_closed() && r.submission.deadline > now);
        if self.requests.len() < before {
            let mut alive = self
                .rows
                .iter()
                .map(|row| self.requests.contains_key(&row.request));
            self.waiting.retain(|_| alive.next().unwrap_or(false));
            self.rows
                .retain(|row| self.requests.contains_key(&row.request));
        }
    }

    /// Takes the rows at these places, ascending, out of the queue.
    pub(super) fn take(&mut self, places: &[usize], now: Moment) -> Chosen {
        let rows = extract(&mut self.rows, places);
        extract(&mut self.waiting, places);
        let mut real: Vec<u64> = Vec::new();
        for row in &rows {
            if let Some(request) = self.requests.get_mut(&row.request) {
                request.answer.queued = now.since(request.since);
                if !request.submission.synthetic && real.last() != Some(&row.request) {
                    real.push(row.request);
                }
            }
        }
        Chosen {
            rows,
            real_requests: real.len(),
        }
    }

    /// Gives each row its result, and answers the requests that have all of theirs.
    pub(super) fn deliver(&mut self, chosen: Chosen, ran: Ran) {
        match ran.result {
            Ok(matrix) => {
                for (row, numbers) in chosen.rows.into_iter().zip(matrix.iter()) {
                    self.store(&row, numbers, matrix.cols, ran.took);
                }
            }
            Err(error) => chosen
                .rows
                .iter()
                .for_each(|row| self.fail(row.request, &error)),
        }
    }

    fn store(&mut self, row: &Row, numbers: &[f32], cols: usize, took: std::time::Duration) {
        // Gone: its client left while the batch ran.
        let Some(request) = self.requests.get_mut(&row.request) else {
            return;
        };
        request.rows[row.place] = Some(numbers.to_vec());
        request.answer.matrix.cols = cols;
        request.answer.inference = request.answer.inference.max(took);
        if request.rows.iter().all(Option::is_some)
            && let Some(done) = self.requests.remove(&row.request)
        {
            let mut answer = done.answer;
            answer.matrix.data = done.rows.into_iter().flatten().flatten().collect();
            let _ = done.submission.reply.send(Ok(answer));
        }
    }

    /// The rest of a failed request's rows need not run.
    fn fail(&mut self, request: u64, error: &RunError) {
        if let Some(failed) = self.requests.remove(&request) {
            let _ = failed.submission.reply.send(Err(error.clone()));
            let mut keep = self.rows.iter().map(|row| row.request != request);
            self.waiting.retain(|_| keep.next().unwrap_or(false));
            self.rows.retain(|row| row.request != request);
        }
    }
}

/// Moves the items at these places, ascending, out of the list.
fn extract<T>(list: &mut Vec<T>, places: &[usize]) -> Vec<T> {
    let mut wanted = places.iter().copied().peekable();
    let mut place = 0;
    list.extract_if(.., |_| {
        let hit = wanted.next_if_eq(&place).is_some();
        place += 1;
        hit
    })
    .collect()
}
