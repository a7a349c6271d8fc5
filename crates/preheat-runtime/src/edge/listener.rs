//! Where connections come from: TCP, a unix socket, or memory (for tests in simulated time).
//!
//! Binding needs no runtime, so that it can come before everything slow. A listener that is
//! [sealed](Listener::seal) takes no new clients, while those whom the kernel has already accepted
//! can still be served: closing it right away would reset them.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs as _};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;

use crate::edge::stream::Stream;

/// How many connections the kernel keeps for us until we take them.
const BACKLOG: i32 = 4096;

/// Where a listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Memory,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Memory => f.write_str("memory"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} is already in use")]
    InUse { address: String },
    #[error("not allowed to listen on {address}")]
    Permission { address: String, source: io::Error },
    #[error("{address} is neither host:port nor unix:/path")]
    Malformed { address: String, source: io::Error },
    #[error("{address} is not an address of this machine")]
    NotLocal { address: String, source: io::Error },
    #[error("cannot listen on {address}")]
    Other { address: String, source: io::Error },
}

impl BindError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            BindError::InUse { .. } => {
                "stop the process that listens there, or choose another port"
            }
            BindError::Permission { .. } => {
                "choose a port above 1023, or a directory you may write"
            }
            BindError::Malformed { .. } => {
                "write it like 127.0.0.1:8000, [::1]:8000 or unix:/run/x.sock"
            }
            BindError::NotLocal { .. } => {
                "use 127.0.0.1, 0.0.0.0 or an address that `ip addr` shows"
            }
            BindError::Other { .. } => "check the address and the limits of this process",
        }
    }

    fn new(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            io::ErrorKind::PermissionDenied => BindError::Permission { address, source },
            io::ErrorKind::AddrNotAvailable => BindError::NotLocal { address, source },
            io::ErrorKind::InvalidInput => BindError::Malformed { address, source },
            _ => BindError::Other { address, source },
        }
    }
}

/// A bound socket that listens from the moment it exists.
#[derive(Debug)]
pub struct Listener {
    address: Address,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, SocketFile),
    Memory(mpsc::Receiver<DuplexStream>),
}

/// Binds `host:port` or `unix:/path` and listens. Port 0 takes a free one.
///
/// # Errors
/// See [`BindError`].
pub fn bind(address: &str) -> Result<Listener, BindError> {
    match address.strip_prefix("unix:") {
        Some(path) => bind_unix(Path::new(path)),
        None => bind_tcp(address),
    }
    .map_err(|source| BindError::new(address, source))
}

/// A listener without a network, and the way to connect to it.
#[must_use]
pub fn memory() -> (Listener, MemoryDialer) {
    let (dialer, source) = mpsc::channel(BACKLOG as usize);
    (
        Listener {
            address: Address::Memory,
            source: Source::Memory(source),
        },
        MemoryDialer(dialer),
    )
}

/// Connects to a [`memory`] listener.
#[derive(Debug, Clone)]
pub struct MemoryDialer(mpsc::Sender<DuplexStream>);

impl MemoryDialer {
    /// # Errors
    /// When nobody listens any more.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.0.send(server).await.map_err(refused)?;
        Ok(client)
    }
}

fn bind_tcp(address: &str) -> io::Result<Listener> {
    let mut last = io::Error::from(io::ErrorKind::InvalidInput);
    for address in address.to_socket_addrs()? {
        match bind_socket(address) {
            Ok(listener) => {
                let address = Address::Tcp(listener.local_addr()?);
                return Ok(Listener {
                    address,
                    source: Source::Tcp(listener),
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_socket(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old process's last connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_unix(path: &Path) -> io::Result<Listener> {
    let listener = match StdUnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            StdUnixListener::bind(path)
        }
        bound => bound,
    }?;
    SockRef::from(&listener).listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    let file = SocketFile(Some(path.to_owned()));
    Ok(Listener {
        address: Address::Unix(path.to_owned()),
        source: Source::Unix(listener, file),
    })
}

/// Whether a socket file was left behind by a process that is gone.
fn is_abandoned(path: &Path) -> bool {
    match StdUnixStream::connect(path) {
        Ok(_) => false,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

impl Listener {
    /// With the port that was really taken.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Hands the socket to the current runtime.
    pub(crate) fn start(self) -> io::Result<Acceptor> {
        Ok(match self.source {
            Source::Tcp(listener) => Acceptor::Tcp(TcpListener::from_std(listener)?),
            Source::Unix(listener, file) => Acceptor::Unix(UnixListener::from_std(listener)?, file),
            Source::Memory(source) => Acceptor::Memory(source),
        })
    }
}

/// A listener at work.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
    Memory(mpsc::Receiver<DuplexStream>),
}

/// Removes the socket's file when the listener goes, but once only: a successor may have made its
/// own in the meantime.
#[derive(Debug)]
pub(crate) struct SocketFile(Option<PathBuf>);

impl SocketFile {
    fn remove(&mut self) {
        if let Some(path) = self.0.take() {
            // Gone already, or no longer ours to remove: either way nothing is left to do.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Acceptor {
    /// The next connection. Cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Without it small answers would wait for the client's acknowledgement. A client
                // that is gone already is found out when we read.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(peer)))
            }
            Acceptor::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), None))
            }
            Acceptor::Memory(source) => match source.recv().await {
                Some(stream) => Ok((Stream::Memory(stream), None)),
                None => std::future::pending().await,
            },
        }
    }

    /// Turns newcomers away, and keeps what has been accepted.
    pub(crate) fn seal(&mut self) {
        match self {
            Acceptor::Tcp(listener) => drop_newcomers(listener),
            Acceptor::Unix(_, file) => file.remove(),
            Acceptor::Memory(source) => source.close(),
        }
    }
}

/// Makes the kernel ignore packets that open a connection. A client that comes now repeats its
/// packet a second later, and is refused because the listener is gone by then.
#[cfg(target_os = "linux")]
fn drop_newcomers(listener: &TcpListener) {
    use socket2::SockFilter;
    const FLAGS: u32 = 13; // of the TCP header
    const SYN: u32 = 0x02;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let program = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_ANY_BIT, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&program) {
        tracing::debug!(event = "seal_failed", %error, "newcomers may be reset at the very end");
    }
}

#[cfg(not(target_os = "linux"))]
fn drop_newcomers(_listener: &TcpListener) {}
