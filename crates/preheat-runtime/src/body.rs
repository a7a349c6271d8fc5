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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;

    use futures_util::stream::{self, StreamExt as _};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn parts(parts: &[&'static str]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok(Frame::data(Bytes::from_static(part.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn reads_up_to_the_limit_and_no_further() {
        for (given, limit, expected) in [
            (&[][..], 0, Some("")),
            (&["abc"], 3, Some("abc")),
            (&["ab", "", "cd", "e"], 5, Some("abcde")),
            (&["", "abc"], 3, Some("abc")),
            (&["abc"], 2, None),
            (&["ab", "cd", "e"], 4, None),
        ] {
            let read = read(parts(given), limit, SECOND).await;
            match expected {
                Some(text) => assert_eq!(read.unwrap(), text, "{given:?}"),
                None => {
                    let error = read.unwrap_err();
                    assert!(matches!(error, BodyError::TooLarge { limit: l } if l == limit));
                }
            }
        }
    }

    #[tokio::test]
    async fn a_declared_length_is_refused_before_anything_is_read() {
        let declared = Full::new(Bytes::from_static(b"abc"));
        let error = read(declared, 2, SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "request body is larger than 2 bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_too_slow() {
        let first = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a")))]);
        let stalls = StreamBody::new(first.chain(stream::pending()));
        let error = read(stalls, 10, SECOND).await.unwrap_err();
        assert!(matches!(error, BodyError::TooSlow { after } if after == SECOND));
    }

    #[tokio::test]
    async fn a_body_that_breaks_says_why() {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"a"))),
            Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        ];
        let error = read(StreamBody::new(stream::iter(frames)), 10, SECOND)
            .await
            .unwrap_err();
        let BodyError::Broken(source) = error else {
            panic!("{error}")
        };
        assert_eq!(source.to_string(), "connection reset");
    }
}
