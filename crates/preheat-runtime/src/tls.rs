//! TLS from PEM files: what the listeners serve, and how this process calls its own front door.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore,
    ServerConfig, SignatureScheme,
};

use crate::file;
use crate::reload::{Look, Reload, Unusable};

/// Of a file with certificates: ten times what browsers trust.
const LIMIT_MB: u64 = 4;

/// The files to serve TLS from.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate first, then those that lead to its issuer.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// If given, clients must show a certificate that one of these has signed.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    fn paths(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let TlsFiles {
            cert,
            key,
            client_ca,
        } = self.clone();
        [cert, key].into_iter().chain(client_ca)
    }
}

/// Both sides of the same certificate.
#[derive(Clone)]
pub struct Tls {
    /// Offers HTTP/2 and HTTP/1.1.
    pub server: Arc<ServerConfig>,
    /// Trusts this very certificate and nothing else, whatever name it was called by, and shows it
    /// where clients have to show one. For calling our own front door on loopback. Offers no
    /// protocol: the caller adds the one it speaks.
    pub loopback: Arc<ClientConfig>,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{} is not a valid PEM file", path.display())]
    Malformed { path: PathBuf, source: pem::Error },
    #[error("{} holds no {what}", path.display())]
    Empty { path: PathBuf, what: &'static str },
    #[error("the key in {} cannot be used with the certificate in {}", key.display(), cert.display())]
    Mismatch {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("a certificate in {} cannot be used as a client ca", path.display())]
    ClientCa {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("tls cannot be set up")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            TlsError::Unreadable { .. } => {
                "check that the file exists and that this user may read it"
            }
            TlsError::Malformed { .. } | TlsError::Empty { .. } => {
                "give a PEM file: it begins with -----BEGIN CERTIFICATE----- or -----BEGIN PRIVATE KEY-----"
            }
            TlsError::Mismatch { .. } => "give the key that the certificate was made for",
            TlsError::ClientCa { .. } => {
                "give the certificate of the authority that signs your clients"
            }
            TlsError::Setup(_) => "check the certificate with `openssl x509 -text`",
        }
    }
}

/// Reads the files and builds both configurations.
///
/// # Errors
/// See [`TlsError`]; each names the file at fault.
pub fn load(files: &TlsFiles) -> Result<Tls, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let own = chain[0].clone();
    let mismatch = |source| TlsError::Mismatch {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    };

    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let server = match &files.client_ca {
        None => server.with_no_client_auth(),
        Some(path) => server.with_client_cert_verifier(client_verifier(path, &own, &provider)?),
    };
    let mut server = server
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(mismatch)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let loopback = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OnlyThis {
            certificate: own,
            algorithms: provider.signature_verification_algorithms,
        }))
        .with_client_auth_cert(chain, key)
        .map_err(mismatch)?;
    Ok(Tls {
        server: Arc::new(server),
        loopback: Arc::new(loopback),
    })
}

/// What was last read from its files. Clones share it.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Current>);

#[derive(Debug)]
struct Current {
    files: TlsFiles,
    first: Look,
    tls: RwLock<Tls>,
}

impl Certificates {
    /// # Errors
    /// As [`load`].
    pub fn read(files: TlsFiles) -> Result<Self, TlsError> {
        let first = Look::at(files.paths());
        let tls = RwLock::new(load(&files)?);
        Ok(Certificates(Arc::new(Current { files, first, tls })))
    }

    #[must_use]
    pub fn current(&self) -> Tls {
        let tls = self.0.tls.read();
        tls.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For who follows the files.
    #[must_use]
    pub fn reload(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as Arc<dyn Reload>
    }
}

impl Reload for Current {
    fn first(&self) -> &Look {
        &self.first
    }

    fn reload(&self) -> Result<(), Unusable> {
        let tls = load(&self.files)?;
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = tls;
        Ok(())
    }
}

/// Makes *ring* the provider of libraries in this process that do not let us choose.
pub fn install_default_provider() {
    // An error says that there is one already, which is as good.
    let _ = ring::default_provider().install_default();
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    file::read(path, LIMIT_MB).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Malformed {
            path: path.to_owned(),
            source,
        })?;
    if certificates.is_empty() {
        return Err(TlsError::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Empty {
            path: path.to_owned(),
            what: "private key",
        },
        source => TlsError::Malformed {
            path: path.to_owned(),
            source,
        },
    })
}

fn client_verifier(
    path: &Path,
    own: &CertificateDer<'static>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = |source| TlsError::ClientCa {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| unusable(source.into()))?;
    }
    let others = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .map_err(|source: VerifierBuilderError| unusable(source.into()))?;
    Ok(Arc::new(OursOr {
        own: own.clone(),
        others,
    }))
}

/// Accepts one certificate, from whoever can prove to hold its key.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OnlyThis {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts clients of the given authority, and ourselves: a replica whose own certificate that
/// authority did not sign could otherwise not walk through its own front door to prove itself.
#[derive(Debug)]
struct OursOr {
    own: CertificateDer<'static>,
    others: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for OursOr {
    /// No hints: they would name the authority only, and keep us from showing our own certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if *end_entity == self.own {
            return Ok(ClientCertVerified::assertion());
        }
        self.others
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.others.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.others.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.others.supported_verify_schemes()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
