//! One request as the data routes take it: who, until when, and its body within the limits.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use preheat_runtime::body;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::errors::Fault;
use super::layers::Context;
use crate::prepare::{Inputs, TooLong};
use crate::replica::Replica;
use crate::serve_error::ServeError;
use crate::service::{Ask, Embedded};

/// Bodies up to this size take less time to read than a hop to another thread.
const INLINE_BYTES: usize = 64 * 1024;

pub struct Call {
    pub replica: Arc<Replica>,
    pub context: Context,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl FromRequest<Arc<Replica>> for Call {
    type Rejection = Fault;

    async fn from_request(request: Request, replica: &Arc<Replica>) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let context = parts.extensions.get::<Context>().cloned();
        let context = context.unwrap_or_else(|| Context {
            id: String::new(),
            arrival: replica.service.arrival(false),
        });
        // Before the body: a replica that serves nobody reads nothing.
        replica.service.check_open(&context.arrival)?;
        check_media_type(&parts.headers)?;
        let body = read(body, replica).await?;
        Ok(Call {
            replica: Arc::clone(replica),
            context,
            headers: parts.headers,
            body,
        })
    }
}

async fn read(body: Body, replica: &Replica) -> Result<Bytes, ServeError> {
    let settings = &replica.settings;
    Ok(body::read(body, settings.max_body, settings.body_timeout).await?)
}

/// JSON, or what clients that do not say send: nothing, a form (curl) or bytes (tensor clients).
fn check_media_type(headers: &HeaderMap) -> Result<(), ServeError> {
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
        Err(ServeError::MediaType)
    }
}

impl Call {
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

    fn deadline(&self) -> Instant {
        self.context.arrival.at + self.replica.service.limits.request_timeout
    }

    /// Runs the inputs; what it costs is bounded by the request's deadline.
    ///
    /// # Errors
    /// Those of the service.
    pub async fn embed(&self, inputs: Inputs, too_long: TooLong) -> Result<Embedded, ServeError> {
        let service = &self.replica.service;
        let arrival = self.context.arrival;
        let synthetic = arrival.synthetic;
        let _working = (!synthetic).then(|| self.replica.metrics.working());
        let result = service
            .embed(Ask {
                inputs,
                too_long,
                arrival,
                deadline: self.deadline(),
            })
            .await;
        if !synthetic {
            self.replica
                .metrics
                .served(result.is_ok(), arrival.at.elapsed());
        }
        result
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ServeError> {
    serde_json::from_slice(body)
        .map_err(|error| ServeError::Malformed(format!("bad body: {error}")))
}
