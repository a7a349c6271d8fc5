//! `POST /embed`: a list of texts, or the object of text-embeddings-inference.

use axum::response::Response;
use preheat_api::embed::EmbedAnswer;

use super::answer;
use super::call::Call;
use super::errors::Fault;
use super::tei;
use crate::prepare::{Inputs, TooLong};

pub async fn embed(call: Call) -> Result<Response, Fault> {
    let first = call.body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        return tei::embed(call).await;
    }
    let texts: Vec<String> = call.json().await?;
    let embedded = call.embed(Inputs::Texts(texts), TooLong::Cut).await?;
    let embeddings = answer::vectors(&embedded, None, false)?;
    Ok(answer::timed(EmbedAnswer { embeddings }, &embedded.times))
}
