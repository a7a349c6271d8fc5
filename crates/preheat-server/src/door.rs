//! This replica's own front doors, called as a client would: over sockets, on fresh connections.
//!
//! The only thing that tells these requests from a user's is a secret made at start, which lets
//! them through the closed gate and keeps them out of the counts.

mod grpc;
mod http;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use preheat_core::warmup::Path;
use preheat_engine::{Output, Tensor};
use preheat_runtime::Tasks;
use preheat_runtime::causes::chain;
use preheat_runtime::edge::Address;
use preheat_runtime::tls::Certificates;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

pub use http::HttpConnection;

use crate::sample::{Sample, flat};

/// Both doors and the key to them.
#[derive(Clone)]
pub struct Doors {
    pub http: Address,
    pub grpc: Address,
    pub tls: Option<Certificates>,
    pub secret: String,
    pub model: String,
    pub tasks: Tasks,
}

/// One connection through one of the doors.
pub enum Connection {
    Http(http::HttpConnection),
    Grpc(grpc::GrpcConnection),
}

/// A way that a request takes: each is code of its own, which no user is to be the first to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// As most clients of that door ask.
    Door(Path),
    /// `/embed` with an object around the texts.
    Object,
    /// OpenAI's, in numbers and in base64.
    Floats,
    Base64,
    /// The Open Inference Protocol over HTTP.
    Inference,
}

impl Route {
    /// The routes of a kind of sample, the doors themselves first.
    #[must_use]
    pub fn of(sample: &Sample) -> &'static [Route] {
        const ALL: [Route; 6] = [
            Route::Door(Path::Http),
            Route::Door(Path::Grpc),
            Route::Inference,
            Route::Object,
            Route::Floats,
            Route::Base64,
        ];
        match sample {
            Sample::Texts(_) => &ALL,
            Sample::Classified { .. } => &ALL[..3],
            // Tensors have one family; images are cases of their own.
            Sample::Tensors { .. } | Sample::Image { .. } => &ALL[..2],
        }
    }

    /// The door that it leads through.
    #[must_use]
    pub fn path(self) -> Path {
        match self {
            Route::Door(path) => path,
            _ => Path::Http,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("answered with {status}: {body}")]
    Refused {
        status: String,
        body: String,
        /// Full, late or cut off: another time it may well answer.
        busy: bool,
    },
    #[error("answered what cannot be read: {0}")]
    Answer(String),
}

impl DoorError {
    /// Says more about the crowd in front of the door than about what is behind it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            DoorError::Connect { .. } | DoorError::Broken(_) => true,
            DoorError::Refused { busy, .. } => *busy,
            DoorError::Answer(_) => false,
        }
    }

    /// With its cause.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// Vectors, one for each row that was put in.
pub type Vectors = Vec<Vec<f32>>;

impl Doors {
    /// Opens a fresh connection.
    ///
    /// # Errors
    /// When the door does not open.
    pub async fn connect(&self, path: Path) -> Result<Connection, DoorError> {
        match path {
            Path::Grpc => Ok(Connection::Grpc(grpc::connect(self).await?)),
            Path::Http | Path::Engine => Ok(Connection::Http(http::connect(self).await?)),
        }
    }

    /// One request on a connection of its own, timed from before it is opened.
    ///
    /// # Errors
    /// When the door does not open, or refuses.
    pub async fn first(
        &self,
        path: Path,
        sample: &Sample,
    ) -> Result<(Connection, Vectors, Duration), DoorError> {
        let began = Instant::now();
        let mut connection = self.connect(path).await?;
        let vectors = connection.ask(sample).await?;
        Ok((connection, vectors, began.elapsed()))
    }

    /// One request on a connection of its own, by any of the routes.
    ///
    /// # Errors
    /// When the door does not open, or refuses.
    pub async fn through(&self, route: Route, sample: &Sample) -> Result<Vectors, DoorError> {
        let texts = match sample {
            Sample::Texts(texts) | Sample::Classified { texts, .. } => &texts[..],
            Sample::Tensors { .. } | Sample::Image { .. } => &[],
        };
        match route {
            Route::Door(path) => Ok(self.first(path, sample).await?.1),
            Route::Object => http::object_form(self, texts).await,
            Route::Floats => http::embeddings(self, texts, "float").await,
            Route::Base64 => http::embeddings(self, texts, "base64").await,
            Route::Inference => http::inference(self, texts).await,
        }
    }
}

impl Connection {
    /// # Errors
    /// When the connection breaks, or the door refuses.
    pub async fn ask(&mut self, sample: &Sample) -> Result<Vectors, DoorError> {
        match self {
            Connection::Http(connection) => connection.ask(sample).await,
            Connection::Grpc(connection) => connection.ask(sample).await,
        }
    }
}

/// Output tensors as vectors, one for each row that was put in.
fn vectors(tensors: Vec<Tensor>, batched: bool) -> Vectors {
    let matrix = flat(Output::Tensors(tensors), batched);
    matrix.iter().map(<[f32]>::to_vec).collect()
}

fn size(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

async fn dial(
    address: &Address,
    tls: Option<&Certificates>,
    protocol: &[u8],
) -> Result<Box<dyn Socket>, DoorError> {
    let refused = |source| DoorError::Connect {
        address: address.to_string(),
        source,
    };
    let plain: Box<dyn Socket> = match address {
        Address::Tcp(tcp) => {
            let stream = TcpStream::connect(reachable(*tcp)).await.map_err(refused)?;
            stream.set_nodelay(true).map_err(refused)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(refused)?),
        Address::Memory => return Err(refused(io::ErrorKind::Unsupported.into())),
    };
    let Some(tls) = tls else { return Ok(plain) };
    // As the door has them now.
    let mut config = ClientConfig::clone(&tls.current().loopback);
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
    let stream = TlsConnector::from(std::sync::Arc::new(config)).connect(name, plain);
    Ok(Box::new(stream.await.map_err(refused)?))
}

/// Listening on every address is not an address to call.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
