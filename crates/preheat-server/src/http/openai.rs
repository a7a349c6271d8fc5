//! OpenAI's routes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use preheat_api::openai::{
    EmbeddingItem, EmbeddingsAnswer, EmbeddingsRequest, EncodingFormat, Input, ModelItem,
    ModelList, Usage, Vector,
};

use super::answer;
use super::call::Call;
use super::errors::Fault;
use super::named::Named;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;

pub async fn embeddings(call: Call) -> Result<Response, Fault> {
    let ask: EmbeddingsRequest = call.json().await?;
    let name = call.replica.service.name.as_str();
    if ask.model != name {
        return Err(ServeError::UnknownModel(ask.model).into());
    }
    let embedded = call.embed(inputs(ask.input), TooLong::Cut).await?;
    let data = answer::vectors(&embedded, ask.dimensions, ask.dimensions.is_some())?
        .into_iter()
        .enumerate()
        .map(|(index, vector)| EmbeddingItem {
            object: "embedding".into(),
            index,
            embedding: encoded(vector, ask.encoding_format),
        })
        .collect();
    let tokens = embedded.tokens;
    let body = EmbeddingsAnswer {
        object: "list".into(),
        data,
        model: name.to_owned(),
        usage: Usage {
            prompt_tokens: tokens,
            total_tokens: tokens,
        },
    };
    Ok(answer::timed(body, &embedded.times))
}

fn inputs(input: Input) -> Inputs {
    match input {
        Input::Text(text) => Inputs::Texts(vec![text]),
        Input::Texts(texts) => Inputs::Texts(texts),
        Input::Tokens(ids) => Inputs::Tokens(vec![ids]),
        Input::TokenLists(rows) => Inputs::Tokens(rows),
    }
}

fn encoded(vector: Vec<f32>, format: Option<EncodingFormat>) -> Vector {
    match format {
        Some(EncodingFormat::Base64) => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            Vector::Base64(BASE64_STANDARD.encode(bytes))
        }
        _ => Vector::Float(vector),
    }
}

pub async fn models(State(replica): State<Arc<Replica>>) -> Json<ModelList> {
    Json(ModelList {
        object: "list".into(),
        data: vec![ModelItem::of(replica.service.name.as_str())],
    })
}

pub async fn model(
    State(replica): State<Arc<Replica>>,
    named: Named,
) -> Result<Json<ModelItem>, Fault> {
    let own = replica.service.name.as_str();
    match named.model == own {
        true => Ok(Json(ModelItem::of(own))),
        false => Err(ServeError::UnknownModel(named.model).into()),
    }
}
