//! Reading a request body into memory, bounded in size and in time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Answer 413.
    #[error("request body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// Answer 408.
    #[error("request body did not arrive within {after:?}")]
    TooSlow { after: Duration },
    /// The client left or broke the protocol; answer 400 if anyone still listens.
    #[error("request body is broken")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Reads all of `body`. A body that declares too great a length is refused before any of it is read.
///
/// # Errors
/// See [`BodyError`].
pub async fn read<B>(body: B, limit: usize, timeout: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
    match tokio::time::timeout(timeout, collect(body, limit)).await {
        Ok(read) => read,
        Err(_) => Err(BodyError::TooSlow { after: timeout }),
    }
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = all.len() + first.as_ref().map_or(0, Bytes::len);
        if data.len() > limit - so_far {
            return Err(BodyError::TooLarge { limit });
        }
        // Most bodies arrive in one piece, which is handed on without a copy.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(start) => {
                all.extend_from_slice(&start);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}
