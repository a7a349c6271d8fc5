//! The Open Inference Protocol over HTTP, with the binary tensor extension.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use preheat_api::headers;
use preheat_api::oip::{
    ConfigTensor, DurationStat, InferAnswer, InferRequest, InferenceStats, InputTensor,
    MODEL_VERSION, ModelConfig, ModelMetadata, ModelStats, ModelStatsAnswer, OutputTensor,
    Parameters, ServerMetadata,
};
use serde_json::Value;

use super::answer;
use super::call::Call;
use super::errors::Fault;
use super::named::Named;
use crate::metrics::Sum;
use crate::oip;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::Embedded;

type Shared = State<Arc<Replica>>;

pub async fn infer(named: Named, call: Call) -> Result<Response, Fault> {
    Ok(run(&named, call).await?)
}

async fn run(named: &Named, call: Call) -> Result<Response, ServeError> {
    oip::check_model(&call.replica.service, &named.model, &named.version)?;
    let (json, binary) = split(&call)?;
    let ask: InferRequest = call.parse(json).await?;
    for output in &ask.outputs {
        oip::check_output(&output.name)?;
    }
    let [input] = &ask.inputs[..] else {
        let why = format!("{} inputs, expected one", ask.inputs.len());
        return Err(ServeError::Malformed(why));
    };
    let texts = texts(input, &binary)?;
    let embedded = call.embed(Inputs::Texts(texts), TooLong::Cut).await?;
    Ok(answer::with_timing(
        respond(&call, &ask, &embedded)?,
        &embedded,
    ))
}

/// With the binary extension a header says how long the JSON in front is.
fn split(call: &Call) -> Result<(Bytes, Bytes), ServeError> {
    let Some(length) = call.headers.get(headers::INFER_JSON_LENGTH) else {
        return Ok((call.body.clone(), Bytes::new()));
    };
    let length = length.to_str().ok().and_then(|l| l.parse::<usize>().ok());
    let length = length
        .filter(|&length| length <= call.body.len())
        .ok_or_else(|| {
            ServeError::Malformed(format!(
                "{} is not within the body",
                headers::INFER_JSON_LENGTH
            ))
        })?;
    let mut json = call.body.clone();
    let binary = json.split_off(length);
    Ok((json, binary))
}

fn texts(input: &InputTensor, binary: &[u8]) -> Result<Vec<String>, ServeError> {
    let rows = oip::check_input(&input.name, &input.datatype, &input.shape)?;
    let texts = match (input.parameters.get("binary_data_size"), &input.data) {
        (Some(size), _) => {
            let size = size.as_u64().and_then(|s| usize::try_from(s).ok());
            let raw = size.and_then(|size| binary.get(..size));
            let why = || ServeError::Malformed("binary_data_size is not within the body".into());
            oip::raw_texts(raw.ok_or_else(why)?)?
        }
        (None, Some(data)) => {
            let mut texts = Vec::new();
            flatten(data, 0, &mut texts)?;
            texts
        }
        (None, None) => return Err(ServeError::Malformed("the input has no data".into())),
    };
    oip::check_count(rows, texts.len())?;
    Ok(texts)
}

/// Data may be flat or nested as deep as its shape, which is two at most.
fn flatten(data: &Value, depth: usize, texts: &mut Vec<String>) -> Result<(), ServeError> {
    match data {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) if depth < 2 => {
            for item in items {
                flatten(item, depth + 1, texts)?;
            }
        }
        _ => {
            return Err(ServeError::Malformed(
                "BYTES data is a list of strings".into(),
            ));
        }
    }
    Ok(())
}

fn flag(parameters: &Parameters, name: &str) -> Option<bool> {
    parameters.get(name).and_then(Value::as_bool)
}

fn respond(call: &Call, ask: &InferRequest, embedded: &Embedded) -> Result<Response, ServeError> {
    let asked = ask
        .outputs
        .first()
        .and_then(|output| flag(&output.parameters, "binary_data"));
    let binary = asked
        .or_else(|| flag(&ask.parameters, "binary_data_output"))
        .unwrap_or(false);
    let matrix = &embedded.matrix;
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let raw = if binary {
        oip::raw_numbers(&matrix.data)
    } else {
        Vec::new()
    };
    let mut parameters = Parameters::new();
    if binary {
        parameters.insert("binary_data_size".into(), raw.len().into());
    }
    let body = InferAnswer {
        model_name: call.replica.service.name.as_str().to_owned(),
        model_version: MODEL_VERSION.into(),
        id: ask.id.clone(),
        outputs: vec![OutputTensor {
            name: preheat_api::oip::EMBEDDING_OUTPUT.into(),
            datatype: "FP32".into(),
            shape: vec![size(matrix.rows), size(matrix.cols)],
            parameters,
            data: (!binary).then(|| matrix.data.clone()),
        }],
    };
    if !binary {
        return Ok(Json(body).into_response());
    }
    let mut bytes = serde_json::to_vec(&body).map_err(|e| ServeError::Engine(e.to_string()))?;
    let json_length = bytes.len();
    bytes.extend(raw);
    let mut response = bytes.into_response();
    let octets = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, octets);
    response
        .headers_mut()
        .insert(headers::INFER_JSON_LENGTH, json_length.into());
    Ok(response)
}

pub async fn server() -> Json<ServerMetadata> {
    Json(oip::server_metadata())
}

pub async fn model(State(replica): Shared, named: Named) -> Result<Json<ModelMetadata>, Fault> {
    oip::check_model(&replica.service, &named.model, &named.version)?;
    Ok(Json(oip::model_metadata(&replica.service)))
}

pub async fn config(State(replica): Shared, named: Named) -> Result<Json<ModelConfig>, Fault> {
    oip::check_model(&replica.service, &named.model, &named.version)?;
    let metadata = oip::model_metadata(&replica.service);
    let tensor = |t: &preheat_api::oip::TensorMetadata| ConfigTensor {
        name: t.name.clone(),
        data_type: if t.datatype == "BYTES" {
            "TYPE_STRING".into()
        } else {
            "TYPE_FP32".into()
        },
        dims: t.shape.clone(),
    };
    Ok(Json(ModelConfig {
        name: metadata.name,
        backend: "preheat".into(),
        // 0: the batch is a dimension of the tensors, as their shapes say.
        max_batch_size: 0,
        input: metadata.inputs.iter().map(tensor).collect(),
        output: metadata.outputs.iter().map(tensor).collect(),
        platform: metadata.platform,
    }))
}

pub async fn stats(State(replica): Shared, named: Named) -> Result<Json<ModelStatsAnswer>, Fault> {
    oip::check_model(&replica.service, &named.model, &named.version)?;
    Ok(Json(statistics(&replica)))
}

pub async fn all_stats(State(replica): Shared) -> Json<ModelStatsAnswer> {
    Json(statistics(&replica))
}

pub fn statistics(replica: &Replica) -> ModelStatsAnswer {
    let totals = &replica.metrics.totals;
    let stat = |sum: &Sum| DurationStat {
        count: sum.count.load(Ordering::Relaxed),
        ns: sum.nanos.load(Ordering::Relaxed),
    };
    ModelStatsAnswer {
        model_stats: vec![ModelStats {
            name: replica.service.name.as_str().to_owned(),
            version: MODEL_VERSION.into(),
            inference_count: totals.rows.load(Ordering::Relaxed),
            execution_count: totals.batches.load(Ordering::Relaxed),
            inference_stats: InferenceStats {
                success: stat(&totals.succeeded),
                fail: stat(&totals.failed),
                queue: stat(&totals.queued),
                compute_infer: stat(&totals.inference),
            },
        }],
    }
}
