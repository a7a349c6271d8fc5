//! A stream that tells [`Life`] what passes through it, and that closes without a reset.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::edge::framing::Framing;
use crate::edge::life::Life;

/// After closing our half we read on, so that the kernel has no reason to reset the connection; but
/// not for ever.
const MAX_DISCARDED: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    framing: Framing,
    life: Life,
    /// The last flush did not get all bytes out.
    flushing: bool,
    closed: bool,
    discarded: usize,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, life: Life) -> Self {
        Watched {
            stream,
            framing: Framing::new(),
            life,
            flushing: false,
            closed: false,
            discarded: 0,
        }
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.life.sent(result.is_ready());
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            this.framing.feed(new);
            this.life.received(&this.framing);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note(result)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        // Flushing is only news when it does not work, and when it works again.
        if result.is_pending() || this.flushing {
            this.life.sent(result.is_ready());
        }
        this.flushing = result.is_pending();
        result
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closed {
            let result = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.note(result))?;
            this.closed = true;
            this.life.lingers();
        }
        this.discard(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads until the other side has closed too. The time for it is limited by [`Life`].
    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [0; 8192];
        while self.discarded < MAX_DISCARDED {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    self.discarded += buf.filled().len();
                    self.life.discarded();
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::edge::life::{Limits, Wait};

    /// Takes every byte, but flushes none until it may.
    #[derive(Default)]
    struct Stubborn {
        may_flush: bool,
    }

    impl AsyncRead for Stubborn {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stubborn {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.may_flush {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_stall_ends_when_the_bytes_are_out() {
        let second = Duration::from_secs(1);
        let life = Life::new(Limits {
            header: second,
            idle: second,
        });
        let mut watched = Watched::new(Stubborn::default(), life.clone());
        let stalled = |life: &Life| matches!(life.deadline(), Some((_, Wait::Stalled)));
        for (may_flush, expected) in [(false, true), (false, true), (true, false), (true, false)] {
            watched.stream.may_flush = may_flush;
            poll_fn(|cx| {
                let _ = Pin::new(&mut watched).poll_flush(cx);
                Poll::Ready(())
            })
            .await;
            assert_eq!(stalled(&life), expected);
        }
    }
}
