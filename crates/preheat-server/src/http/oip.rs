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
use preheat_engine::{Task, Tensor};
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

/// Tensors beyond this are not read or written where requests are waited for.
const HEAVY_BYTES: usize = 64 * 1024;

type Shared = State<Arc<Replica>>;

pub async fn infer(named: Named, call: Call) -> Result<Response, Fault> {
    Ok(run(&named, call).await?)
}

async fn run(named: &Named, mut call: Call) -> Result<Response, ServeError> {
    oip::check_model(&call.replica.service, &named.model, &named.version)?;
    let (json, binary) = split(&call)?;
    let ask: InferRequest = call.parse(json).await?;
    as_numbers(&ask)?;
    let signature = call.signature().await?;
    if !signature.task.takes_texts() {
        oip::check_outputs(&signature.outputs, &asked(&ask))?;
        return infer_tensors(call, ask, binary).await;
    }
    for output in &ask.outputs {
        oip::check_output(&output.name, signature.task)?;
    }
    let [input] = &ask.inputs[..] else {
        let why = format!("{} inputs, expected one", ask.inputs.len());
        return Err(ServeError::Malformed(why));
    };
    let inputs = texts(input, binary, signature.task)?;
    let rows = call.rows(inputs, None, TooLong::Cut).await?;
    let matrix = &rows.matrix;
    let shape = vec![matrix.rows, matrix.cols];
    let output = oip::text_output(signature.task);
    let output = Tensor::of_f32(output, shape, &matrix.data)
        .map_err(|error| ServeError::Engine(error.to_string()))?;
    Ok(answer::with_timing(
        respond(name(&call), &ask, &[output])?,
        &rows.times,
    ))
}

/// Numbers, not labels, are what comes.
fn as_numbers(ask: &InferRequest) -> Result<(), ServeError> {
    let mut outputs = ask.outputs.iter();
    match outputs.find(|output| output.parameters.contains_key(oip::CLASSIFICATION)) {
        None => Ok(()),
        Some(output) => Err(oip::no_classification(&output.name)),
    }
}

/// Numbers in JSON take time to read and to write: many of them do so off the event loop.
async fn infer_tensors(
    call: Call,
    ask: InferRequest,
    binary: Bytes,
) -> Result<Response, ServeError> {
    let heavy = call.body.len() > HEAVY_BYTES;
    let read = move || tensors(&ask, binary).map(|tensors| (ask, tensors));
    let (ask, tensors) = call.work(heavy, read).await?;
    let inferred = call.infer(tensors).await?;
    let outputs = oip::chosen(inferred.tensors, &asked(&ask))?;
    let heavy = outputs
        .iter()
        .map(|tensor| tensor.data().len())
        .sum::<usize>()
        > HEAVY_BYTES;
    let name = name(&call);
    let response = call
        .work(heavy, move || respond(name, &ask, &outputs))
        .await?;
    Ok(answer::with_timing(response, &inferred.times))
}

fn asked(ask: &InferRequest) -> Vec<&str> {
    ask.outputs
        .iter()
        .map(|output| output.name.as_str())
        .collect()
}

fn name(call: &Call) -> String {
    call.replica.service.name.as_str().to_owned()
}

/// The input tensors; those in binary lie behind the JSON in the order in which it names them.
fn tensors(ask: &InferRequest, mut binary: Bytes) -> Result<Vec<Tensor>, ServeError> {
    let mut tensors = Vec::with_capacity(ask.inputs.len().min(64));
    for input in &ask.inputs {
        let Some(size) = input.parameters.get("binary_data_size") else {
            tensors.push(oip::json_tensor(input)?);
            continue;
        };
        let size = size.as_u64().and_then(|s| usize::try_from(s).ok());
        let size = size
            .filter(|&size| size <= binary.len())
            .ok_or_else(not_within)?;
        let raw = binary.split_to(size);
        tensors.push(oip::tensor(
            &input.name,
            &input.datatype,
            &input.shape,
            raw,
        )?);
    }
    all_taken(&binary)?;
    Ok(tensors)
}

fn all_taken(binary: &Bytes) -> Result<(), ServeError> {
    match binary.len() {
        0 => Ok(()),
        more => Err(ServeError::Malformed(format!(
            "{more} bytes lie behind the last tensor"
        ))),
    }
}

fn not_within() -> ServeError {
    ServeError::Malformed("binary_data_size is not within the body".into())
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

fn texts(input: &InputTensor, mut binary: Bytes, task: Task) -> Result<Inputs, ServeError> {
    let shape = oip::check_input(&input.name, &input.datatype, &input.shape, task)?;
    let texts = match (input.parameters.get("binary_data_size"), &input.data) {
        (Some(size), _) => {
            let size = size.as_u64().and_then(|s| usize::try_from(s).ok());
            let size = size.filter(|&size| size <= binary.len());
            oip::raw_texts(&binary.split_to(size.ok_or_else(not_within)?))?
        }
        (None, Some(data)) => {
            let mut texts = Vec::new();
            flatten(data, 0, &mut texts)?;
            texts
        }
        (None, None) => return Err(ServeError::Malformed("the input has no data".into())),
    };
    all_taken(&binary)?;
    oip::text_inputs(&shape, texts)
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

fn respond(
    model_name: String,
    ask: &InferRequest,
    outputs: &[Tensor],
) -> Result<Response, ServeError> {
    let all_binary = flag(&ask.parameters, "binary_data_output").unwrap_or(false);
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut raw = Vec::new();
    let described = outputs.iter().map(|tensor| {
        let asked = ask
            .outputs
            .iter()
            .find(|output| output.name == tensor.name());
        let asked = asked.and_then(|output| flag(&output.parameters, "binary_data"));
        let binary = asked.unwrap_or(all_binary);
        let mut parameters = Parameters::new();
        if binary {
            parameters.insert("binary_data_size".into(), tensor.data().len().into());
            raw.extend_from_slice(tensor.data());
        }
        OutputTensor {
            name: tensor.name().to_owned(),
            datatype: oip::datatype(tensor.element()).into(),
            shape: tensor.shape().iter().copied().map(size).collect(),
            parameters,
            data: (!binary).then(|| oip::elements(tensor)),
        }
    });
    let body = InferAnswer {
        model_name,
        model_version: MODEL_VERSION.into(),
        id: ask.id.clone(),
        outputs: described.collect(),
    };
    if body.outputs.iter().all(|output| output.data.is_some()) {
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
    Ok(Json(oip::model_metadata(&replica.service)?))
}

pub async fn config(State(replica): Shared, named: Named) -> Result<Json<ModelConfig>, Fault> {
    oip::check_model(&replica.service, &named.model, &named.version)?;
    let metadata = oip::model_metadata(&replica.service)?;
    let tensor = |t: &preheat_api::oip::TensorMetadata| ConfigTensor {
        name: t.name.clone(),
        data_type: match t.datatype.as_str() {
            "BYTES" => "TYPE_STRING".into(),
            other => format!("TYPE_{other}"),
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
