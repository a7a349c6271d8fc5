//! Connections that leave HTTP: a client and a server that both want to speak something else, WebSocket
//! for one, over the connections that their request came by. Bytes pass as they are, and both
//! connections end when nobody has said anything for too long.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::{OnUpgrade, on};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::{Instant, sleep_until};

use crate::tasks::Tasks;
use crate::upstream::{Place, SendError, dial};

/// What a request asks to speak instead of HTTP. Only HTTP/1.1 has this way. A request with a body,
/// or one that only offers a newer HTTP, is answered as it is: the offer may be ignored.
#[must_use]
pub fn wanted(headers: &HeaderMap) -> Option<HeaderValue> {
    let length = headers.get(header::CONTENT_LENGTH);
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0");
    if has_body {
        return None;
    }
    let mut connection = headers.get_all(header::CONNECTION).iter();
    let upgrades = connection.any(|value| {
        let words = value.to_str().unwrap_or_default().split(',');
        words
            .into_iter()
            .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
    });
    let newer_http = |offer: &&HeaderValue| offer.as_bytes().eq_ignore_ascii_case(b"h2c");
    let offer = headers.get(header::UPGRADE).filter(|_| upgrades);
    offer.filter(|offer| !newer_http(offer)).cloned()
}

/// Asks for it at the next hop, where what is about a connection has been taken out.
pub fn ask(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

/// Sends such a request, which has no body, on a connection of its own. What is not an agreement is
/// an answer like any other.
///
/// # Errors
/// When there is no answer.
pub async fn open(
    place: &Place,
    request: Request<Empty<Bytes>>,
    tasks: &Tasks,
) -> Result<Response<hyper::body::Incoming>, SendError> {
    let stream = dial(place).await.map_err(SendError::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(SendError::NotSent)?;
    let token = tasks.token().clone();
    tasks.spawn("upgradeable connection", async move {
        tokio::select! {
            // How it ends shows in the answer, or in what follows it.
            _ = connection.with_upgrades() => {}
            () = token.cancelled() => {}
        }
    });
    sender
        .send_request(request)
        .await
        .map_err(SendError::Broken)
}

/// Whether the server agreed.
#[must_use]
pub fn agreed<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

/// Lets both sides speak once both have their connections, until either has nothing more to say,
/// neither has said anything for `idle`, or the tasks are told to stop. `held` lives as long as they
/// speak.
pub fn join(
    client: OnUpgrade,
    server: &mut Response<hyper::body::Incoming>,
    held: impl Send + 'static,
    idle: Duration,
    tasks: &Tasks,
) {
    let server = on(server);
    let token = tasks.token().clone();
    tasks.spawn("tunnel", async move {
        let speaking = async {
            let (client, server) = (client.await?, server.await?);
            speak(TokioIo::new(client), TokioIo::new(server), idle).await;
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            spoken = speaking => if let Err(error) = spoken {
                tracing::debug!(event = "not_upgraded", %error, "a connection did not leave HTTP");
            },
            () = token.cancelled() => {}
        }
        drop(held);
    });
}

async fn speak<C, S>(client: C, server: S, idle: Duration)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let last = LastWord::now();
    let (mut client, mut server) = (last.of(client), last.of(server));
    tokio::select! {
        // Either side may leave without a word; the other is told by its end.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        () = last.older_than(idle) => {
            tracing::debug!(event = "tunnel_idle", "nobody said anything for too long");
        }
    }
}

/// When anybody last said something.
#[derive(Debug, Clone)]
struct LastWord(Arc<Mutex<Instant>>);

impl LastWord {
    fn now() -> Self {
        LastWord(Arc::new(Mutex::new(Instant::now())))
    }

    fn of<T>(&self, line: T) -> Heard<T> {
        let last = self.clone();
        Heard { line, last }
    }

    fn at(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn older_than(&self, limit: Duration) {
        loop {
            // A limit beyond all time is none.
            let until = self.at().checked_add(limit);
            match until {
                Some(until) if until <= Instant::now() => return,
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// A connection that notes when it is heard.
#[derive(Debug)]
struct Heard<T> {
    line: T,
    last: LastWord,
}

impl<T: AsyncRead + Unpin> AsyncRead for Heard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.line).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            *self.last.at() = Instant::now();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Heard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_in_which_nobody_speaks_is_closed() {
        let ((mut user, client), (mut far, server)) = (duplex(64), duplex(64));
        let began = Instant::now();
        let speaking = speak(client, server, IDLE);
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(IDLE * 2 / 3).await;
                user.write_all(b"word").await.unwrap();
                let mut heard = [0; 4];
                far.read_exact(&mut heard).await.unwrap();
                assert_eq!(&heard, b"word");
            }
            (user, far)
        };
        let ((), (mut user, mut far)) = tokio::join!(speaking, talk);
        assert_eq!(
            began.elapsed(),
            IDLE * 3,
            "after the last word, not the first"
        );
        for end in [&mut user, &mut far] {
            assert_eq!(
                end.read(&mut [0; 1]).await.unwrap(),
                0,
                "both ends are told"
            );
        }
    }

    #[test]
    fn only_who_asks_twice_wants_it() {
        let headers = |connection: &str, upgrade: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("connection", connection), ("upgrade", upgrade)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            headers
        };
        for (connection, upgrade, wants) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, Upgrade", "websocket", true),
            ("keep-alive", "websocket", false),
            ("upgrade", "", false),
            ("", "websocket", false),
            ("Upgrade, HTTP2-Settings", "h2c", false),
        ] {
            let found = wanted(&headers(connection, upgrade)).is_some();
            assert_eq!(found, wants, "{connection}: {upgrade}");
        }
        let mut with_body = headers("Upgrade", "websocket");
        with_body.insert("content-length", "5".parse().unwrap());
        assert_eq!(wanted(&with_body), None, "its body would be lost");
    }
}
