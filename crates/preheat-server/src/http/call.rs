//! One request as the data routes take it: who, until when, and its body within the limits.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use bytes::Bytes;
use preheat_engine::{Signature, Task, Tensor};
use preheat_runtime::body;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::errors::Fault;
use super::layers::Context;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::{Ask, Embedded, Inferred};

/// Bodies up to this size take less time to read than a hop to another thread.
const INLINE_BYTES: usize = 64 * 1024;

pub struct Call {
    pub replica: Arc<Replica>,
    pub context: Context,
    pub headers: HeaderMap,
    pub body: Bytes,
    path: String,
    /// For the start of a lazy model.
    waited: Duration,
    /// The name of what stands in front of texts.
    prompt: Option<String>,
}

impl FromRequest<Arc<Replica>> for Call {
    type Rejection = Fault;

    async fn from_request(request: Request, replica: &Arc<Replica>) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let context = context(&parts.extensions, replica);
        // Before the body: a replica that serves nobody reads nothing.
        replica.service.check_open(&context.arrival)?;
        check_media_type(&parts.headers)?;
        Call::read(replica, context, parts, body).await
    }
}

/// A call whose body is an image.
pub struct ImageCall(pub Call);

impl FromRequest<Arc<Replica>> for ImageCall {
    type Rejection = Fault;

    async fn from_request(request: Request, replica: &Arc<Replica>) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let context = context(&parts.extensions, replica);
        replica.service.check_open(&context.arrival)?;
        check_image_type(&parts.headers)?;
        Ok(ImageCall(Call::read(replica, context, parts, body).await?))
    }
}

fn context(extensions: &Extensions, replica: &Replica) -> Context {
    let context = extensions.get::<Context>().cloned();
    context.unwrap_or_else(|| Context {
        id: String::new(),
        arrival: replica.service.arrival(false),
    })
}

/// What the bytes are is seen when they are decoded; this refuses who means something else.
fn check_image_type(headers: &HeaderMap) -> Result<(), ServeError> {
    check_encoding(headers)?;
    let value = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    let kind = value.map(|value| value.split(';').next().unwrap_or("").trim());
    match kind {
        None | Some("" | "application/x-www-form-urlencoded" | "application/octet-stream") => {
            Ok(())
        }
        Some(kind) if kind.to_ascii_lowercase().starts_with("image/") => Ok(()),
        Some(_) => Err(ServeError::MediaType(
            "content-type: image/jpeg or image/png",
        )),
    }
}

/// Nothing is decompressed: a small body may become any size.
fn check_encoding(headers: &HeaderMap) -> Result<(), ServeError> {
    let plain = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or("?").trim();
        value.is_empty() || value.eq_ignore_ascii_case("identity")
    };
    match headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        true => Ok(()),
        false => Err(ServeError::MediaType("it without content-encoding")),
    }
}

async fn read(body: Body, replica: &Replica) -> Result<Bytes, ServeError> {
    let settings = &replica.settings;
    Ok(body::read(body, settings.max_body, settings.body_timeout).await?)
}

/// JSON, or what clients that do not say send: nothing, a form (curl) or bytes (tensor clients).
fn check_media_type(headers: &HeaderMap) -> Result<(), ServeError> {
    check_encoding(headers)?;
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let value = value.to_str().unwrap_or("?").to_ascii_lowercase();
    let kind = value.split(';').next().unwrap_or("").trim();
    let taken = kind.ends_with("/json")
        || kind.ends_with("+json")
        || matches!(
            kind,
            "" | "application/x-www-form-urlencoded" | "application/octet-stream"
        );
    if taken {
        Ok(())
    } else {
        Err(ServeError::MediaType("content-type: application/json"))
    }
}

impl Call {
    async fn read(
        replica: &Arc<Replica>,
        context: Context,
        parts: Parts,
        body: Body,
    ) -> Result<Self, Fault> {
        let body = read(body, replica).await?;
        Ok(Call {
            replica: Arc::clone(replica),
            context,
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body,
            waited: Duration::ZERO,
            prompt: None,
        })
    }

    /// What the model declares; the first request to a lazy model waits for it, and says so in its
    /// answer.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn signature(&mut self) -> Result<Signature, ServeError> {
        let began = Instant::now();
        let service = &self.replica.service;
        let signature = service.signature(self.context.arrival, self.deadline());
        let signature = signature.await?;
        self.waited += began.elapsed();
        Ok(signature)
    }

    /// The body as this shape.
    ///
    /// # Errors
    /// [`ServeError::Malformed`] says where and why.
    pub async fn json<T: DeserializeOwned + Send + 'static>(&self) -> Result<T, ServeError> {
        self.parse(self.body.clone()).await
    }

    /// This part of the body as this shape; a large one is read off the event loop.
    ///
    /// # Errors
    /// As for [`json`](Self::json).
    pub async fn parse<T: DeserializeOwned + Send + 'static>(
        &self,
        part: Bytes,
    ) -> Result<T, ServeError> {
        if part.len() <= INLINE_BYTES {
            return parse(&part);
        }
        let service = &self.replica.service;
        let work = service.elsewhere(move || parse(&part));
        service.within(self.deadline(), work).await
    }

    /// Work on this call's data, off the event loop where it is heavy.
    ///
    /// # Errors
    /// Those of `work`, and [`ServeError::Deadline`].
    pub async fn work<T: Send + 'static>(
        &self,
        heavy: bool,
        work: impl FnOnce() -> Result<T, ServeError> + Send + 'static,
    ) -> Result<T, ServeError> {
        if !heavy {
            return work();
        }
        let service = &self.replica.service;
        service
            .within(self.deadline(), service.elsewhere(work))
            .await
    }

    /// Texts of this call get the prompt of that name.
    pub fn prompted(&mut self, name: Option<String>) {
        self.prompt = name;
    }

    pub fn deadline(&self) -> Instant {
        self.context.arrival.at + self.replica.service.limits.request_timeout
    }

    /// Runs texts for the vectors of a model that makes them.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn embed(&self, inputs: Inputs, too_long: TooLong) -> Result<Embedded, ServeError> {
        self.rows(inputs, Some(Task::Embed), too_long).await
    }

    /// Runs inputs for one row of numbers each; what it costs is bounded by the request's deadline.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn rows(
        &self,
        inputs: Inputs,
        task: Option<Task>,
        too_long: TooLong,
    ) -> Result<Embedded, ServeError> {
        let ask = self.ask(inputs, task, too_long);
        let mut embedded = self.counted(self.replica.service.embed(ask)).await?;
        embedded.times.started += self.waited;
        Ok(embedded)
    }

    /// Runs tensors.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn infer(&self, tensors: Vec<Tensor>) -> Result<Inferred, ServeError> {
        let ask = self.ask(Inputs::Tensors(tensors), None, TooLong::Refuse);
        let mut inferred = self.counted(self.replica.service.infer(ask)).await?;
        inferred.times.started += self.waited;
        Ok(inferred)
    }

    fn ask(&self, inputs: Inputs, task: Option<Task>, too_long: TooLong) -> Ask {
        Ask {
            inputs,
            task,
            too_long,
            prompt: self.prompt.clone(),
            arrival: self.context.arrival,
            deadline: self.deadline(),
        }
    }

    async fn counted<T>(
        &self,
        work: impl Future<Output = Result<T, ServeError>>,
    ) -> Result<T, ServeError> {
        let arrival = self.context.arrival;
        let synthetic = arrival.synthetic;
        let _working = (!synthetic).then(|| self.replica.metrics.working());
        let result = work.await;
        if !synthetic {
            self.replica
                .metrics
                .served(result.is_ok(), arrival.at.elapsed());
            if result.is_ok() && self.replica.tap.is_open() {
                self.replica.tap.offer(&self.path, self.body.clone());
            }
        }
        result
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ServeError> {
    serde_json::from_slice(body)
        .map_err(|error| ServeError::Malformed(format!("bad body: {error}")))
}
