//! Which model a request asks for, where a gateway has several: by its path, or by what its body
//! says first.

use std::borrow::Cow;

use http::request::Parts;
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use preheat_runtime::replay::Replay;
use serde_json::Value;

use super::Arriving;
use crate::refusal::Refusal;

/// Longest beginning of a gRPC stream that is looked at: a name stands at its very start.
const BEGINNING: usize = 1024;

/// The length prefix of a gRPC message.
const PREFIX: usize = 5;

/// `/v2/models/{model}/…`
pub fn in_path(path: &str) -> Option<Cow<'_, str>> {
    let rest = path.strip_prefix("/v2/models/")?;
    let model = rest.split('/').next()?;
    // A route of its own.
    let is_named = !model.is_empty() && model != "stats";
    is_named.then(|| percent_decode_str(model).decode_utf8_lossy())
}

/// Whether what the head does not name is looked for in the body.
pub fn may_be_in_body(parts: &Parts, is_grpc: bool) -> bool {
    is_grpc || parts.method == http::Method::POST
}

/// What the body says; none where it says nothing. The body can be read again afterwards.
///
/// # Errors
/// When the body cannot be read.
pub async fn in_body(
    parts: &Parts,
    replay: &Replay<Arriving>,
    is_grpc: bool,
) -> Result<Option<String>, Refusal> {
    if is_grpc {
        return in_stream(replay).await;
    }
    if !may_be_in_body(parts, is_grpc) {
        return Ok(None);
    }
    let body = replay.reader().collect().await.map_err(Refusal::Body)?;
    // What is no JSON is its replica's to refuse.
    let body: Option<Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let model = body.as_ref().and_then(|body| body.get("model")?.as_str());
    Ok(model.map(str::to_owned))
}

async fn in_stream(replay: &Replay<Arriving>) -> Result<Option<String>, Refusal> {
    let mut reader = replay.reader();
    let mut begun = Vec::new();
    while begun.len() < BEGINNING {
        let Some(frame) = reader.frame().await else {
            break;
        };
        if let Ok(data) = frame.map_err(Refusal::Body)?.into_data() {
            begun.extend_from_slice(&data);
        }
        if let Some(name) = first_text(&begun) {
            return Ok(Some(name));
        }
        if is_whole(&begun) {
            break;
        }
    }
    Ok(None)
}

/// The first field of the first message, if it is a text: in every request of the protocol that is
/// about a model, it is the model's name.
pub fn first_text(begun: &[u8]) -> Option<String> {
    let (tag, rest) = begun.get(PREFIX..)?.split_first()?;
    let (&length, text) = rest.split_first()?;
    // Field 1 of wire type 2; a longer name than that has no model.
    if *tag != 0x0a || length >= 0x80 {
        return None;
    }
    String::from_utf8(text.get(..usize::from(length))?.to_vec()).ok()
}

/// Whether the first message has come, and says nothing.
pub fn is_empty(begun: &[u8]) -> bool {
    begun.len() == PREFIX && is_whole(begun)
}

/// Whether the first message has come as a whole.
fn is_whole(begun: &[u8]) -> bool {
    let Some([_, length @ ..]) = begun.first_chunk::<PREFIX>() else {
        return false;
    };
    begun.len() - PREFIX >= u32::from_be_bytes(*length) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_model() {
        for (path, model) in [
            ("/v2/models/a/infer", Some("a")),
            ("/v2/models/a", Some("a")),
            ("/v2/models/org%2Fa%20b/infer", Some("org/a b")),
            ("/v2/models/%FF/infer", Some("\u{fffd}")),
            ("/v2/models/stats", None),
            ("/v2/models/", None),
            ("/embed", None),
        ] {
            assert_eq!(in_path(path).as_deref(), model, "{path}");
        }
    }

    #[test]
    fn a_stream_names_it_in_its_first_field() {
        let message = [&[0, 0, 0, 0, 9, 0x0a, 5][..], b"model", &[0x12, 0][..]].concat();
        assert_eq!(first_text(&message).as_deref(), Some("model"));
        assert!(is_whole(&message));
        for cut in 0..message.len() - 2 {
            assert!(!is_whole(&message[..cut]));
            // Never a panic, never half a name.
            assert!(first_text(&message[..cut]).is_none_or(|name| name == "model"));
        }
        assert_eq!(first_text(&[0, 0, 0, 0, 2, 0x10, 1]), None);
    }
}
