//! Classifiers: a score for each label.

use axum::response::Response;
use preheat_api::classify::Score;
use preheat_engine::Task;

use super::answer;
use super::call::ImageCall;
use super::errors::Fault;
use crate::prepare::{Inputs, TooLong};
use crate::sample::softmax;

/// `POST /classify/image`: the body is the image.
pub async fn image(ImageCall(call): ImageCall) -> Result<Response, Fault> {
    let inputs = Inputs::Image(call.body.clone());
    let mut scored = call
        .rows(inputs, Some(Task::Image), TooLong::Refuse)
        .await?;
    let loaded = call
        .replica
        .service
        .loaded()
        .ok_or_else(|| call.replica.service.not_ready())?;
    if loaded
        .pictures
        .as_ref()
        .is_some_and(|pictures| pictures.softmax)
    {
        softmax(&mut scored.matrix);
    }
    let labels = &loaded.info.signature.labels;
    Ok(answer::timed(
        scores(scored.matrix.data, labels),
        &scored.times,
    ))
}

/// Best first. Labels without a name are called by their place.
pub fn scores(numbers: Vec<f32>, labels: &[String]) -> Vec<Score> {
    let named = numbers.into_iter().enumerate().map(|(index, score)| Score {
        label: labels
            .get(index)
            .cloned()
            .unwrap_or_else(|| index.to_string()),
        index,
        score,
    });
    let mut scores: Vec<Score> = named.collect();
    scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    scores
}
