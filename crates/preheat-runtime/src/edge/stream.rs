//! One connection's bytes, whatever carries them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Memory(DuplexStream),
    Tls(Box<TlsStream<Stream>>),
}

/// A stream on its way from one runtime to another.
pub(crate) enum Traveller {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
    /// Is bound to none.
    Other(Stream),
}

impl Stream {
    pub(crate) fn leave(self) -> io::Result<Traveller> {
        Ok(match self {
            Stream::Tcp(stream) => Traveller::Tcp(stream.into_std()?),
            Stream::Unix(stream) => Traveller::Unix(stream.into_std()?),
            Stream::Memory(_) | Stream::Tls(_) => Traveller::Other(self),
        })
    }
}

impl Traveller {
    /// On the runtime where this is called.
    pub(crate) fn arrive(self) -> io::Result<Stream> {
        Ok(match self {
            Traveller::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Traveller::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
            Traveller::Other(stream) => stream,
        })
    }
}

/// Calls the same method on whichever stream it is.
macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            Stream::Memory($stream) => $call,
            Stream::Tls($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Memory(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
