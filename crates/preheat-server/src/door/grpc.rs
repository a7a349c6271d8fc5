//! The gRPC front door.

use hyper_util::rt::TokioIo;
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use preheat_api::grpc::inference::model_infer_response::InferOutputTensor;
use preheat_api::grpc::inference::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use preheat_api::{headers, oip};
use preheat_engine::{Output, Tensor};
use preheat_runtime::causes::chain;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tower::service_fn;

use super::{DoorError, Doors, Vectors, dial, size, vectors};
use crate::oip as tensors_oip;
use crate::sample::{Sample, flat, softmax};

pub struct GrpcConnection {
    client: GrpcInferenceServiceClient<Channel>,
    secret: MetadataValue<Ascii>,
    model: String,
}

pub(super) async fn connect(doors: &Doors) -> Result<GrpcConnection, DoorError> {
    let (address, tls) = (doors.grpc.clone(), doors.tls.clone());
    let connector = service_fn(move |_| {
        let (address, tls) = (address.clone(), tls.clone());
        async move { dial(&address, tls.as_ref(), b"h2").await.map(TokioIo::new) }
    });
    // The connector knows where to go; the name is only what a request calls the host.
    let channel = Endpoint::from_static("http://front-door")
        .connect_with_connector(connector)
        .await
        .map_err(|error| DoorError::Broken(chain(&error)))?;
    let secret = doors
        .secret
        .parse()
        .map_err(|_| DoorError::Broken("no secret".into()))?;
    let client = GrpcInferenceServiceClient::new(channel)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    Ok(GrpcConnection {
        client,
        secret,
        model: doors.model.clone(),
    })
}

impl GrpcConnection {
    pub(super) async fn ask(&mut self, sample: &Sample) -> Result<Vectors, DoorError> {
        match sample {
            Sample::Texts(texts) | Sample::Classified { texts, .. } => self.texts(texts).await,
            Sample::Tensors { tensors, batched } => {
                Ok(vectors(self.tensors(tensors).await?, *batched))
            }
            Sample::Image {
                tensors,
                softmax: shares,
                ..
            } => {
                let mut scores = flat(Output::Tensors(self.tensors(tensors).await?), true);
                if *shares {
                    softmax(&mut scores);
                }
                Ok(scores.iter().map(<[f32]>::to_vec).collect())
            }
        }
    }

    async fn tensors(&mut self, tensors: &[Tensor]) -> Result<Vec<Tensor>, DoorError> {
        let inputs = tensors.iter().map(|tensor| InferInputTensor {
            name: tensor.name().to_owned(),
            datatype: tensors_oip::datatype(tensor.element()).into(),
            shape: tensor.shape().iter().copied().map(size).collect(),
            ..InferInputTensor::default()
        });
        let ask = ModelInferRequest {
            model_name: self.model.clone(),
            inputs: inputs.collect(),
            raw_input_contents: tensors.iter().map(|tensor| tensor.data().clone()).collect(),
            ..ModelInferRequest::default()
        };
        let answer = self.infer(ask).await?;
        let raw = answer.raw_output_contents;
        let read = |(output, raw): (InferOutputTensor, _)| {
            tensors_oip::tensor(&output.name, &output.datatype, &output.shape, raw)
                .map_err(|error| DoorError::Answer(error.to_string()))
        };
        answer.outputs.into_iter().zip(raw).map(read).collect()
    }

    async fn infer(&mut self, ask: ModelInferRequest) -> Result<ModelInferResponse, DoorError> {
        let mut request = Request::new(ask);
        request
            .metadata_mut()
            .insert(headers::SYNTHETIC, self.secret.clone());
        Ok(self
            .client
            .model_infer(request)
            .await
            .map_err(refused)?
            .into_inner())
    }

    async fn texts(&mut self, texts: &[String]) -> Result<Vectors, DoorError> {
        let ask = ModelInferRequest {
            model_name: self.model.clone(),
            inputs: vec![InferInputTensor {
                name: oip::TEXT_INPUT.into(),
                datatype: "BYTES".into(),
                shape: vec![i64::try_from(texts.len()).unwrap_or(i64::MAX)],
                contents: Some(InferTensorContents {
                    bytes_contents: texts.iter().map(|t| t.clone().into()).collect(),
                    ..InferTensorContents::default()
                }),
                ..InferInputTensor::default()
            }],
            ..ModelInferRequest::default()
        };
        let answer = self.infer(ask).await?;
        let dim = answer
            .outputs
            .first()
            .and_then(|o| o.shape.last().copied())
            .unwrap_or(1);
        let dim = usize::try_from(dim).unwrap_or(1).max(1);
        let raw = answer
            .raw_output_contents
            .into_iter()
            .next()
            .unwrap_or_default();
        let numbers: Vec<f32> = raw
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok(numbers.chunks(dim).map(<[f32]>::to_vec).collect())
    }
}

fn refused(status: tonic::Status) -> DoorError {
    let busy = matches!(
        status.code(),
        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded
    );
    DoorError::Refused {
        status: status.code().to_string(),
        body: status.message().to_owned(),
        busy,
    }
}
