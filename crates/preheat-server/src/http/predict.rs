//! The routes of text-embeddings-inference for classifiers of texts: labels of a text or a pair of
//! texts, and texts ordered by how well they answer a query.

use std::sync::Arc;

use axum::response::Response;
use preheat_api::tei::{
    PredictInputs, PredictRequest, Prediction, Predictions, Rank, RerankRequest,
};
use preheat_engine::{Matrix, Task};

use super::answer;
use super::call::Call;
use super::errors::Fault;
use super::tei::too_long;
use crate::prepare::{Inputs, TextPair};
use crate::sample::shares;
use crate::serve_error::ServeError;

/// `POST /predict`
pub async fn predict(call: Call) -> Result<Response, Fault> {
    let ask: PredictRequest = call.json().await.map_err(Fault::tei)?;
    let (pairs, alone) = pairs(ask.inputs).map_err(Fault::tei)?;
    let inputs = Inputs::Pairs(pairs);
    let too_long = too_long(ask.truncate, ask.truncation_direction)?;
    let mut scored = call.rows(inputs, Some(Task::Classify), too_long).await?;
    if !ask.raw_scores {
        shares(&mut scored.matrix);
    }
    let labels = labels(&call)?;
    let mut rows = scored.matrix.iter().map(|row| predictions(row, &labels));
    let answer = match alone {
        true => Predictions::One(rows.next().unwrap_or_default()),
        false => Predictions::Many(rows.collect()),
    };
    Ok(answer::timed(answer, &scored.times))
}

/// `POST /rerank`
pub async fn rerank(call: Call) -> Result<Response, Fault> {
    let ask: RerankRequest = call.json().await.map_err(Fault::tei)?;
    let texts = ask.return_text.then(|| ask.texts.clone());
    let query: Arc<str> = ask.query.into();
    let pair = |text| TextPair {
        first: Arc::clone(&query),
        second: Some(text),
    };
    // What there are no texts for is refused like any other empty request.
    let inputs = Inputs::Pairs(ask.texts.into_iter().map(pair).collect());
    // Several labels do not order anything.
    let own = call.replica.service.loaded().map(|loaded| loaded.info);
    if own.is_some_and(|info| info.signature.task == Task::Classify && info.dim != 1) {
        let task = Task::Classify.name();
        return Err(Fault::tei(ServeError::WrongTask { task }));
    }
    let too_long = too_long(ask.truncate, ask.truncation_direction)?;
    let mut scored = call.rows(inputs, Some(Task::Classify), too_long).await?;
    if !ask.raw_scores {
        shares(&mut scored.matrix);
    }
    Ok(answer::timed(ranks(&scored.matrix, texts), &scored.times))
}

/// The inputs, and whether there is but one, which is answered without a list around it.
fn pairs(inputs: PredictInputs) -> Result<(Vec<TextPair>, bool), ServeError> {
    Ok(match inputs {
        PredictInputs::One(text) => (vec![text.into()], true),
        PredictInputs::Together(texts) => (vec![together(texts)?], true),
        PredictInputs::Many(rows) => {
            let rows = rows.into_iter().map(together);
            (rows.collect::<Result<_, _>>()?, false)
        }
    })
}

fn together(texts: Vec<String>) -> Result<TextPair, ServeError> {
    let count = texts.len();
    let mut texts = texts.into_iter();
    match (texts.next(), texts.next(), texts.next()) {
        (Some(first), second, None) => Ok(TextPair {
            first: first.into(),
            second,
        }),
        _ => Err(ServeError::Malformed(format!(
            "an input is one text or two, not {count}"
        ))),
    }
}

fn labels(call: &Call) -> Result<Vec<String>, ServeError> {
    let service = &call.replica.service;
    let loaded = service.loaded().ok_or_else(|| service.not_ready())?;
    Ok(loaded.info.signature.labels.clone())
}

fn predictions(row: &[f32], labels: &[String]) -> Vec<Prediction> {
    let label = |index: usize| match labels.get(index) {
        Some(label) => label.clone(),
        None => index.to_string(),
    };
    let scores = row.iter().enumerate();
    let mut all: Vec<Prediction> = scores
        .map(|(index, &score)| Prediction {
            score,
            label: label(index),
        })
        .collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

fn ranks(scores: &Matrix, texts: Option<Vec<String>>) -> Vec<Rank> {
    let mut texts = texts.map(Vec::into_iter);
    let rows = scores.iter().enumerate();
    let mut ranks: Vec<Rank> = rows
        .map(|(index, row)| Rank {
            index,
            text: texts.as_mut().and_then(Iterator::next),
            score: row.first().copied().unwrap_or(0.0),
        })
        .collect();
    ranks.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranks
}
