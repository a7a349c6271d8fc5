//! The gRPC front door.

use hyper_util::rt::TokioIo;
use preheat_api::grpc::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use preheat_api::grpc::inference::model_infer_request::InferInputTensor;
use preheat_api::grpc::inference::{InferTensorContents, ModelInferRequest};
use preheat_api::{headers, oip};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tower::service_fn;

use super::{DoorError, Doors, Vectors, dial};

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
    let client = GrpcInferenceServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    Ok(GrpcConnection {
        client,
        secret,
        model: doors.model.clone(),
    })
}

impl GrpcConnection {
    pub(super) async fn embed(&mut self, texts: &[String]) -> Result<Vectors, DoorError> {
        let mut request = Request::new(ModelInferRequest {
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
        });
        request
            .metadata_mut()
            .insert(headers::SYNTHETIC, self.secret.clone());
        let answer = self
            .client
            .model_infer(request)
            .await
            .map_err(refused)?
            .into_inner();
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

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
