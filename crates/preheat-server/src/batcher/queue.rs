//! The rows that wait, and the requests that they belong to.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use preheat_core::batching::Waiting;
use preheat_core::{Moment, ShapeBucket};
use preheat_engine::{Batch, Matrix, Output, RunError, Tensor, TensorError, TokenBatch};
use tokio::time::Instant;

use super::{Answer, Items, Submission};
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
    item: Item,
}

/// What waits as one: a row of tokens, or all tensors of a request.
enum Item {
    Tokens(Vec<u32>),
    Tensors(Vec<Tensor>),
}

impl Item {
    /// In tokens, or in elements.
    fn size(&self) -> usize {
        match self {
            Item::Tokens(tokens) => tokens.len(),
            Item::Tensors(tensors) => tensors.iter().map(Tensor::len).sum(),
        }
    }

    fn tokens(&self) -> Option<&[u32]> {
        match self {
            Item::Tokens(tokens) => Some(tokens),
            Item::Tensors(_) => None,
        }
    }

    fn tensors(&self) -> Option<&[Tensor]> {
        match self {
            Item::Tensors(tensors) => Some(tensors),
            Item::Tokens(_) => None,
        }
    }
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
    /// Who waits for each of its requests.
    waits: Vec<Weak<()>>,
    /// Its shape, where that is the first of its kind on its instance.
    pub(super) is_first_of: Option<ShapeBucket>,
}

impl Chosen {
    /// # Errors
    /// When tensors that were taken for alike are not.
    pub(super) fn batch(&self) -> Result<Batch, TensorError> {
        let tensors: Vec<&[Tensor]> = self
            .rows
            .iter()
            .filter_map(|row| row.item.tensors())
            .collect();
        if let Some(first) = tensors.first() {
            let column = |place| {
                let parts: Vec<&Tensor> = tensors.iter().filter_map(|t| t.get(place)).collect();
                Tensor::concat(&parts)
            };
            return (0..first.len())
                .map(column)
                .collect::<Result<_, _>>()
                .map(Batch::Tensors);
        }
        let rows = self.rows.iter().filter_map(|row| row.item.tokens());
        let batch: TokenBatch = rows.collect();
        Ok(Batch::Tokens(batch))
    }

    pub(super) fn size(&self) -> usize {
        self.rows.iter().map(|row| row.item.size()).sum()
    }

    /// Tells at any later time whether somebody still waits for any of it.
    pub(super) fn is_wanted(&self) -> impl Fn() -> bool + Send + 'static {
        let waits = self.waits.clone();
        move || waits.iter().any(|waits| waits.strong_count() > 0)
    }
}

impl Queue {
    pub(super) fn waiting(&self) -> &[Waiting] {
        &self.waiting
    }

    pub(super) fn size(&self) -> usize {
        self.rows.iter().map(|row| row.item.size()).sum()
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
        let items = std::mem::replace(&mut submission.items, Items::Rows(Vec::new()));
        let rows: Vec<Item> = match items {
            Items::Rows(rows) => rows.into_iter().map(Item::Tokens).collect(),
            Items::Tensors(tensors) => vec![Item::Tensors(tensors)],
        };
        let answer = Answer {
            output: Output::Tensors(Vec::new()),
            queued: Duration::ZERO,
            inference: Duration::ZERO,
        };
        let empty = vec![None; rows.len()];
        for (place, (item, &(class, cost))) in rows.into_iter().zip(classes).enumerate() {
            self.rows.push(Row {
                request,
                place,
                item,
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
        let (mut last, mut real_requests, mut waits) = (None, 0, Vec::new());
        for row in &rows {
            if let Some(request) = self.requests.get_mut(&row.request) {
                request.answer.queued = now.since(request.since);
                if last.replace(row.request) != Some(row.request) {
                    real_requests += usize::from(!request.submission.synthetic);
                    waits.push(Weak::clone(&request.submission.waits));
                }
            }
        }
        Chosen {
            rows,
            real_requests,
            waits,
            is_first_of: None,
        }
    }

    /// Gives each row its result, and answers the requests that have all of theirs.
    pub(super) fn deliver(&mut self, chosen: Chosen, ran: Ran) {
        match ran.result {
            Ok(Output::Rows(matrix)) => {
                for (row, numbers) in chosen.rows.into_iter().zip(matrix.iter()) {
                    self.store(&row, numbers, matrix.cols, ran.took);
                }
            }
            Ok(Output::Tensors(outputs)) => self.hand_out(chosen, &outputs, ran.took),
            Err(error) => chosen
                .rows
                .iter()
                .for_each(|row| self.fail(row.request, &error)),
        }
    }

    /// Each request gets the rows that came of its own.
    fn hand_out(&mut self, chosen: Chosen, outputs: &[Tensor], took: Duration) {
        let alone = chosen.rows.len() == 1;
        let mut from = 0;
        for row in chosen.rows {
            let rows = row
                .item
                .tensors()
                .and_then(<[_]>::first)
                .map_or(0, Tensor::rows);
            let own = |tensor: &Tensor| match alone {
                true => tensor.clone(),
                false => tensor.slice(from, from + rows),
            };
            let own = outputs.iter().map(own).collect();
            from += rows;
            if let Some(mut done) = self.requests.remove(&row.request) {
                done.answer.output = Output::Tensors(own);
                done.answer.inference = took;
                let _ = done.submission.reply.send(Ok(done.answer));
            }
        }
    }

    fn store(&mut self, row: &Row, numbers: &[f32], cols: usize, took: Duration) {
        // Gone: its client left while the batch ran.
        let Some(request) = self.requests.get_mut(&row.request) else {
            return;
        };
        request.rows[row.place] = Some(numbers.to_vec());
        request.answer.inference = request.answer.inference.max(took);
        if request.rows.iter().all(Option::is_some)
            && let Some(done) = self.requests.remove(&row.request)
        {
            let mut answer = done.answer;
            answer.output = Output::Rows(Matrix {
                rows: done.rows.len(),
                cols,
                data: done.rows.into_iter().flatten().flatten().collect(),
            });
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
