//! The routes of text-embeddings-inference.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use preheat_api::tei::{
    ClassifierType, EmbedInputs, EmbedRequest, EmbeddingType, Info, ModelType, Token,
    TokenizeRequest, TruncationDirection,
};
use preheat_engine::tokenizer::Special;
use preheat_engine::{EngineInfo, Task};

use super::answer;
use super::call::Call;
use super::errors::Fault;
use super::predict;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;

/// The tokens of larger bodies are not written where requests are waited for.
const INLINE_BYTES: usize = 4096;

/// `POST /`: what the model is for.
pub async fn any_task(mut call: Call) -> Result<Response, Fault> {
    let signature = call.signature().await.map_err(Fault::tei)?;
    match (signature.task, signature.labels.len()) {
        (Task::Classify, 1) => predict::rerank(call).await,
        (Task::Classify, _) => predict::predict(call).await,
        _ => embed(call).await,
    }
}

pub async fn embed(mut call: Call) -> Result<Response, Fault> {
    let ask: EmbedRequest = call.json().await.map_err(Fault::tei)?;
    let own = call.signature().await.map_err(Fault::tei)?.normalized;
    if own && !ask.normalize {
        let why = "normalize = false is not offered: this model's vectors are of length one";
        return Err(Fault::tei(ServeError::Malformed(why.into())));
    }
    // What is of length one stays as it is, to the bit.
    let scaled = ask.normalize && (!own || ask.dimensions.is_some());
    call.prompted(ask.prompt_name);
    let too_long = too_long(ask.truncate, ask.truncation_direction).map_err(Fault::tei)?;
    let inputs = match ask.inputs {
        EmbedInputs::Text(text) => Inputs::Texts(vec![text]),
        EmbedInputs::Texts(texts) => Inputs::Texts(texts),
        EmbedInputs::Tokens(ids) => Inputs::Tokens(vec![ids]),
        EmbedInputs::TokenLists(rows) => Inputs::Tokens(rows),
    };
    let embedded = call.embed(inputs, too_long).await.map_err(Fault::tei)?;
    let vectors = answer::vectors(&embedded, ask.dimensions, scaled).map_err(Fault::tei)?;
    Ok(answer::timed(vectors, &embedded.times))
}

/// What becomes of texts that are too long, as it was asked for.
///
/// # Errors
/// What nobody does here: another answer than the one asked for would look like it.
pub fn too_long(
    truncate: Option<bool>,
    direction: Option<TruncationDirection>,
) -> Result<TooLong, ServeError> {
    match (truncate, direction.unwrap_or_default()) {
        (Some(false), _) => Ok(TooLong::Refuse),
        (_, TruncationDirection::Right) => Ok(TooLong::Cut),
        (_, TruncationDirection::Left) => Err(ServeError::Malformed(
            "truncation_direction = left is not offered: texts that are too long lose their end"
                .into(),
        )),
    }
}

pub async fn tokenize(call: Call) -> Result<Response, Fault> {
    let ask: TokenizeRequest = call.json().await?;
    let special = if ask.add_special_tokens {
        Special::Add
    } else {
        Special::Omit
    };
    let texts = ask.inputs.into_vec();
    let tokens = call
        .replica
        .service
        .tokenize(texts, special, ask.prompt_name, call.context.arrival)
        .await?;
    let told = move || {
        let tokens: Vec<Vec<Token>> = tokens
            .into_iter()
            .map(|row| row.into_iter().map(token).collect())
            .collect();
        Ok(Json(tokens).into_response())
    };
    Ok(call.work(call.body.len() > INLINE_BYTES, told).await?)
}

fn token(token: preheat_engine::Token) -> Token {
    let place = |at: usize| (!token.special).then_some(at);
    Token {
        id: token.id,
        start: place(token.start),
        stop: place(token.stop),
        text: token.text,
        special: token.special,
    }
}

fn model_type(info: &EngineInfo) -> ModelType {
    let labels = &info.signature.labels;
    let scores = || ClassifierType {
        id2label: labels
            .iter()
            .cloned()
            .enumerate()
            .map(|(id, l)| (id.to_string(), l))
            .collect(),
        label2id: labels
            .iter()
            .cloned()
            .enumerate()
            .map(|(id, l)| (l, id))
            .collect(),
    };
    match (info.signature.task, info.dim) {
        (Task::Classify, 1) => ModelType::Reranker(scores()),
        (Task::Classify, _) => ModelType::Classifier(scores()),
        _ => ModelType::Embedding(EmbeddingType {
            pooling: info.pooling.clone(),
        }),
    }
}

pub async fn info(State(replica): State<Arc<Replica>>) -> Result<Response, Fault> {
    let service = &replica.service;
    let loaded = service.loaded().ok_or_else(|| service.not_ready())?;
    let limits = &service.limits;
    Ok(Json(Info {
        model_id: service.name.as_str().to_owned(),
        model_sha: replica.board.read(|facts| facts.revision.clone()),
        model_dtype: loaded.info.dtype.clone(),
        model_type: model_type(&loaded.info),
        max_concurrent_requests: limits.concurrency,
        max_input_length: loaded.info.max_tokens,
        max_batch_tokens: loaded.limits.max_volume,
        max_batch_requests: Some(loaded.limits.max_batch),
        max_client_batch_size: limits.client_batch,
        auto_truncate: true,
        tokenization_workers: loaded.instances.count(),
        version: crate::VERSION.into(),
        sha: None,
    })
    .into_response())
}
