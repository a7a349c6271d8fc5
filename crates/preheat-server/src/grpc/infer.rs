//! `inference.GRPCInferenceService`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use preheat_api::grpc::inference::grpc_inference_service_server::GrpcInferenceService;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use preheat_api::grpc::inference::model_infer_response::InferOutputTensor;
use preheat_api::grpc::inference::model_metadata_response::TensorMetadata;
use preheat_api::grpc::inference::repository_index_response::ModelIndex;
use preheat_api::grpc::inference::{
    DataType, InferStatistics, ModelConfig, ModelConfigRequest, ModelConfigResponse,
    ModelInferRequest, ModelInferResponse, ModelInput, ModelMetadataRequest, ModelMetadataResponse,
    ModelOutput, ModelReadyRequest, ModelReadyResponse, ModelStatistics, ModelStatisticsRequest,
    ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse, ServerLiveRequest,
    ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse, StatisticDuration,
};
use preheat_api::headers;
use preheat_api::oip::{DurationStat, MODEL_VERSION, ModelMetadata};
use preheat_engine::{Task, Tensor};
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status};

use super::status;
use crate::admin::repository;
use crate::http::oip::statistics;
use crate::oip;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::{Arrival, Ask};

pub(super) struct Inference {
    replica: Arc<Replica>,
}

impl Inference {
    pub(super) fn new(replica: Arc<Replica>) -> Self {
        Inference { replica }
    }

    fn ready(&self) -> bool {
        self.replica.board.read(|facts| facts.probes.readiness)
    }

    fn known(&self, name: &str, version: &str) -> Result<(), Status> {
        oip::check_model(&self.replica.service, name, version).map_err(|e| status::of(&e))
    }

    fn metadata(&self) -> Result<ModelMetadata, Status> {
        let metadata = oip::model_metadata(&self.replica.service);
        metadata.map_err(|error| status::of(&error))
    }

    async fn run(
        &self,
        ask: ModelInferRequest,
        arrival: Arrival,
        deadline: Instant,
    ) -> Result<ModelInferResponse, ServeError> {
        let service = &self.replica.service;
        oip::check_model(service, &ask.model_name, &ask.model_version)?;
        let signature = service.signature(arrival, deadline).await?;
        let texts = signature.task.takes_texts();
        if let Some(output) = ask
            .outputs
            .iter()
            .find(|o| o.parameters.contains_key(oip::CLASSIFICATION))
        {
            return Err(oip::no_classification(&output.name));
        }
        let names: Vec<&str> = ask
            .outputs
            .iter()
            .map(|output| output.name.as_str())
            .collect();
        let inputs = match texts {
            true => {
                let check = |name: &&str| oip::check_output(name, signature.task);
                names.iter().try_for_each(check)?;
                self::texts(&ask, signature.task)?
            }
            false => {
                oip::check_outputs(&signature.outputs, &names)?;
                Inputs::Tensors(tensors(&ask)?)
            }
        };
        let own = Ask {
            inputs,
            task: None,
            too_long: TooLong::Cut,
            prompt: None,
            arrival,
            deadline,
        };
        let outputs = match texts {
            true => {
                let matrix = service.embed(own).await?.matrix;
                let shape = vec![matrix.rows, matrix.cols];
                let output = oip::text_output(signature.task);
                let output = Tensor::of_f32(output, shape, &matrix.data);
                vec![output.map_err(|error| ServeError::Engine(error.to_string()))?]
            }
            false => oip::chosen(service.infer(own).await?.tensors, &names)?,
        };
        let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let described = outputs.iter().map(|tensor| InferOutputTensor {
            name: tensor.name().to_owned(),
            datatype: oip::datatype(tensor.element()).into(),
            shape: tensor.shape().iter().copied().map(size).collect(),
            ..InferOutputTensor::default()
        });
        Ok(ModelInferResponse {
            model_version: MODEL_VERSION.into(),
            parameters: HashMap::new(),
            outputs: described.collect(),
            raw_output_contents: outputs.iter().map(|tensor| tensor.data().clone()).collect(),
            model_name: ask.model_name,
            id: ask.id,
        })
    }

    fn deadline(&self, arrived: Instant, metadata: &MetadataMap) -> Instant {
        let own = self.replica.settings.limits.request_timeout;
        let asked = metadata
            .get("grpc-timeout")
            .and_then(|t| timeout(t.to_str().ok()?));
        arrived + asked.map_or(own, |asked| asked.min(own))
    }
}

fn texts(ask: &ModelInferRequest, task: Task) -> Result<Inputs, ServeError> {
    let [input] = &ask.inputs[..] else {
        let why = format!("{} inputs, expected one", ask.inputs.len());
        return Err(ServeError::Malformed(why));
    };
    let shape = oip::check_input(&input.name, &input.datatype, &input.shape, task)?;
    let texts = match &ask.raw_input_contents[..] {
        [] => typed(input)?,
        [raw] => oip::raw_texts(raw)?,
        more => {
            let why = format!("{} raw tensors for one input", more.len());
            return Err(ServeError::Malformed(why));
        }
    };
    oip::text_inputs(&shape, texts)
}

/// Raw for all inputs, or typed for each.
fn tensors(ask: &ModelInferRequest) -> Result<Vec<Tensor>, ServeError> {
    let raw = &ask.raw_input_contents;
    if !raw.is_empty() && raw.len() != ask.inputs.len() {
        let why = format!("{} raw tensors for {} inputs", raw.len(), ask.inputs.len());
        return Err(ServeError::Malformed(why));
    }
    let one = |(place, input): (usize, &InferInputTensor)| {
        let data = match raw.get(place) {
            Some(raw) => raw.clone(),
            None => contents(input)?.into(),
        };
        oip::tensor(&input.name, &input.datatype, &input.shape, data)
    };
    ask.inputs.iter().enumerate().map(one).collect()
}

/// Typed contents as bytes; kinds narrower than 32 bits travel as 32.
fn contents(input: &InferInputTensor) -> Result<Vec<u8>, ServeError> {
    let contents = input.contents.as_ref();
    let none = || ServeError::Malformed(format!("input '{}' has no data", input.name));
    let contents = contents.ok_or_else(none)?;
    let beyond = || {
        let (name, kind) = (&input.name, &input.datatype);
        ServeError::Malformed(format!("input '{name}' holds a number that is no {kind}"))
    };
    macro_rules! wide {
        ($field:ident) => {
            contents
                .$field
                .iter()
                .flat_map(|x| x.to_le_bytes())
                .collect()
        };
    }
    macro_rules! narrow {
        ($field:ident, $kind:ty) => {{
            let narrowed = contents.$field.iter().map(|x| <$kind>::try_from(*x));
            let narrowed = narrowed
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| beyond())?;
            narrowed.iter().flat_map(|x| x.to_le_bytes()).collect()
        }};
    }
    Ok(match input.datatype.as_str() {
        "BOOL" => contents
            .bool_contents
            .iter()
            .map(|x| u8::from(*x))
            .collect(),
        "INT8" => narrow!(int_contents, i8),
        "INT16" => narrow!(int_contents, i16),
        "INT32" => wide!(int_contents),
        "INT64" => wide!(int64_contents),
        "UINT8" => narrow!(uint_contents, u8),
        "UINT16" => narrow!(uint_contents, u16),
        "UINT32" => wide!(uint_contents),
        "UINT64" => wide!(uint64_contents),
        "FP32" => wide!(fp32_contents),
        "FP64" => wide!(fp64_contents),
        _ => Vec::new(),
    })
}

fn typed(input: &InferInputTensor) -> Result<Vec<String>, ServeError> {
    let contents = input.contents.as_ref();
    let contents = contents.ok_or_else(|| ServeError::Malformed("the input has no data".into()))?;
    contents
        .bytes_contents
        .iter()
        .map(|bytes| oip::text(bytes))
        .collect()
}

fn data_type(word: &str) -> DataType {
    match word {
        "BYTES" => DataType::TypeString,
        other => DataType::from_str_name(&format!("TYPE_{other}")).unwrap_or(DataType::TypeInvalid),
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|_| number.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let arrival = request.extensions().get::<Arrival>().copied();
        let arrival = arrival.unwrap_or_else(|| self.replica.service.arrival(false));
        let synthetic = arrival.synthetic;
        let deadline = self.deadline(arrival.at, request.metadata());
        let working = (!synthetic).then(|| self.replica.metrics.working());
        let result = self.run(request.into_inner(), arrival, deadline).await;
        drop(working);
        let result = result.map_err(|error| {
            if error.turns_away() && !synthetic {
                self.replica.metrics.rejected(error.code());
            }
            status::of(&error)
        });
        if !synthetic {
            let code = result.as_ref().err().map_or(Code::Ok, Status::code);
            self.replica
                .metrics
                .served(result.is_ok(), arrival.at.elapsed());
            self.replica
                .metrics
                .request(super::ROUTE, &format!("{code:?}"), arrival.at.elapsed());
        }
        let mut response = Response::new(result?);
        if let Some(warmth) = self.replica.service.warmth() {
            let value = MetadataValue::from_static(warmth.name());
            response.metadata_mut().insert(headers::WARM, value);
        }
        Ok(response)
    }

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse {
            ready: self.ready(),
        }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ask = request.into_inner();
        self.known(&ask.name, &ask.version)?;
        Ok(Response::new(ModelReadyResponse {
            ready: self.ready(),
        }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        let preheat_api::oip::ServerMetadata {
            name,
            version,
            extensions,
        } = oip::server_metadata();
        Ok(Response::new(ServerMetadataResponse {
            name,
            version,
            extensions,
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ask = request.into_inner();
        self.known(&ask.name, &ask.version)?;
        let metadata = self.metadata()?;
        let tensors = |list: Vec<preheat_api::oip::TensorMetadata>| {
            list.into_iter()
                .map(|t| TensorMetadata {
                    name: t.name,
                    datatype: t.datatype,
                    shape: t.shape,
                })
                .collect()
        };
        Ok(Response::new(ModelMetadataResponse {
            name: metadata.name,
            versions: metadata.versions,
            platform: metadata.platform,
            inputs: tensors(metadata.inputs),
            outputs: tensors(metadata.outputs),
        }))
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        let ask = request.into_inner();
        self.known(&ask.name, &ask.version)?;
        let metadata = self.metadata()?;
        let input = |t: preheat_api::oip::TensorMetadata| ModelInput {
            name: t.name,
            data_type: data_type(&t.datatype).into(),
            dims: t.shape,
        };
        let output = |t: preheat_api::oip::TensorMetadata| ModelOutput {
            name: t.name,
            data_type: data_type(&t.datatype).into(),
            dims: t.shape,
        };
        let config = ModelConfig {
            name: metadata.name,
            platform: metadata.platform,
            backend: "preheat".into(),
            input: metadata.inputs.into_iter().map(input).collect(),
            output: metadata.outputs.into_iter().map(output).collect(),
            ..ModelConfig::default()
        };
        Ok(Response::new(ModelConfigResponse {
            config: Some(config),
        }))
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let ask = request.into_inner();
        if !ask.name.is_empty() {
            self.known(&ask.name, &ask.version)?;
        }
        let stat = |s: DurationStat| {
            Some(StatisticDuration {
                count: s.count,
                ns: s.ns,
            })
        };
        let model_stats = statistics(&self.replica)
            .model_stats
            .into_iter()
            .map(|s| ModelStatistics {
                name: s.name,
                version: s.version,
                inference_count: s.inference_count,
                execution_count: s.execution_count,
                inference_stats: Some(InferStatistics {
                    success: stat(s.inference_stats.success),
                    fail: stat(s.inference_stats.fail),
                    queue: stat(s.inference_stats.queue),
                    compute_infer: stat(s.inference_stats.compute_infer),
                    ..InferStatistics::default()
                }),
                ..ModelStatistics::default()
            })
            .collect();
        Ok(Response::new(ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let item = repository::item(&self.replica);
        let hidden = request.into_inner().ready && item.state != "READY";
        let model = ModelIndex {
            name: item.name,
            version: item.version,
            state: item.state,
            reason: item.reason,
        };
        let models = if hidden { Vec::new() } else { vec![model] };
        Ok(Response::new(RepositoryIndexResponse { models }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_as_the_protocol_writes_them() {
        for (text, want) in [
            ("200m", Some(Duration::from_millis(200))),
            ("1S", Some(Duration::from_secs(1))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("5", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(timeout(text), want, "{text}");
        }
    }
}
