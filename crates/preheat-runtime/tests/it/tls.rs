//! TLS at the front door: both protocols, client certificates, our own way in, and bad files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use preheat_runtime::tls::{Certificates, TlsFiles, load};
use preheat_runtime::{EdgeConfig, bind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Http2, Raw, Server, echo_path};

/// A folder with an authority, a server certificate and a client certificate, all as PEM files.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &authority.pem());
        for name in ["client", "other"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            let signed = params.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.pem"), &signed.pem());
            write(&format!("{name}.key"), &key.serialize_pem());
        }
        // Signed by nobody but itself, as on a laptop.
        let own = rcgen::generate_simple_self_signed(["models.example".to_owned()]).unwrap();
        write("server.pem", &own.cert.pem());
        write("server.key", &own.signing_key.serialize_pem());
        write("empty.pem", "");
        write(
            "broken.pem",
            "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        );
        Files { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, client_ca: Option<&str>) -> Certificates {
        Certificates::read(TlsFiles {
            cert: self.path("server.pem"),
            key: self.path("server.key"),
            client_ca: client_ca.map(|name| self.path(name)),
        })
        .unwrap()
    }

    /// A client that trusts the server's certificate by name, and shows one of its own.
    fn client(&self, own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&self.path("server.pem"))).unwrap();
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = vec![certificate(&self.path(&format!("{name}.pem")))];
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn loopback(tls: &Certificates) -> ClientConfig {
    ClientConfig::clone(&tls.current().loopback)
}

fn serve(tls: &Certificates) -> (Server, String) {
    let listener = bind("127.0.0.1:0").unwrap();
    let address = listener.address().to_string();
    let config = EdgeConfig {
        tls: Some(tls.clone()),
        ..EdgeConfig::default()
    };
    (Server::start(listener, echo_path(), config), address)
}

async fn connect(
    address: &str,
    mut config: ClientConfig,
    protocol: &[u8],
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[tokio::test]
async fn both_protocols_are_served_and_negotiated() {
    let files = Files::new();
    let (server, address) = serve(&files.load(None));
    let client = files.client(None);
    let stream = connect(&address, client.clone(), b"http/1.1", "models.example")
        .await
        .unwrap();
    assert_eq!(Raw(stream).get("/one").await.unwrap().body, "/one");
    let stream = connect(&address, client, b"h2", "models.example")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Http2::connect(&server.tasks, stream).await.unwrap();
    assert_eq!(client.get("/two").await.unwrap().body, "/two");
}

#[tokio::test]
async fn the_loopback_client_trusts_this_certificate_and_no_other() {
    let files = Files::new();
    let ours = files.load(None);
    let (_server, address) = serve(&ours);
    let stream = connect(&address, loopback(&ours), b"http/1.1", "localhost")
        .await
        .unwrap();
    assert_eq!(Raw(stream).get("/own").await.unwrap().body, "/own");

    let stranger = Files::new().load(None);
    assert!(
        connect(&address, loopback(&stranger), b"http/1.1", "localhost")
            .await
            .is_err()
    );
}

/// New connections meet what the files hold now; what cannot be used changes nothing.
#[tokio::test]
async fn certificates_are_exchanged_while_they_are_served() {
    let files = Files::new();
    let tls = files.load(None);
    let (_server, address) = serve(&tls);
    let before = files.client(None);
    let mut old = connect(&address, before.clone(), b"http/1.1", "models.example")
        .await
        .map(Raw)
        .unwrap();
    let write = |name: &str, text: &str| std::fs::write(files.path(name), text).unwrap();
    let next = rcgen::generate_simple_self_signed(["models.example".to_owned()]).unwrap();
    write("server.pem", &next.cert.pem());
    let half = tls.reload().reload().unwrap_err();
    assert!(half.remedy().contains("key"), "{half}");
    let same = connect(&address, before.clone(), b"http/1.1", "models.example");
    assert!(same.await.is_ok(), "half of a change is none");

    write("server.key", &next.signing_key.serialize_pem());
    tls.reload().reload().unwrap();
    let stale = connect(&address, before, b"http/1.1", "models.example");
    assert!(stale.await.is_err());
    for client in [files.client(None), loopback(&tls)] {
        let stream = connect(&address, client, b"http/1.1", "models.example").await;
        assert_eq!(Raw(stream.unwrap()).get("/new").await.unwrap().body, "/new");
    }
    assert_eq!(old.get("/old").await.unwrap().body, "/old", "it goes on");
}

#[tokio::test]
async fn clients_must_show_a_certificate_when_they_have_to() {
    let files = Files::new();
    let tls = files.load(Some("ca.pem"));
    let (_server, address) = serve(&tls);
    let stranger = Files::new();
    for (who, config, welcome) in [
        (
            "signed by the authority",
            files.client(Some("client")),
            true,
        ),
        ("without a certificate", files.client(None), false),
        (
            "signed by another authority",
            {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(&files.path("server.pem"))).unwrap();
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_root_certificates(roots)
                    .with_client_auth_cert(
                        vec![certificate(&stranger.path("client.pem"))],
                        PrivateKeyDer::from_pem_file(stranger.path("client.key")).unwrap(),
                    )
                    .unwrap()
            },
            false,
        ),
        ("ourselves", loopback(&tls), true),
    ] {
        // In TLS 1.3 a client learns of its refusal with the first answer.
        let served = match connect(&address, config, b"http/1.1", "models.example").await {
            Ok(stream) => Raw(stream).get("/").await.is_ok(),
            Err(_) => false,
        };
        assert_eq!(served, welcome, "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_cut_at_its_limit() {
    let files = Files::new();
    let tls = files.load(None);
    let config = EdgeConfig {
        tls: Some(tls.clone()),
        ..EdgeConfig::default()
    };
    let limit = config.tls_timeout;
    let (server, dialer) = Server::in_memory(echo_path(), config);
    let mut client = Raw(dialer.connect().await.unwrap());
    let start = tokio::time::Instant::now();
    client.send("\u{16}\u{3}").await;
    client.closed().await;
    assert!(start.elapsed() >= limit && start.elapsed() < limit + Duration::from_secs(1));
    assert_eq!(server.connections.timed_out.load(Ordering::Relaxed), 1);
}

#[test]
fn bad_files_are_named() {
    let files = Files::new();
    for (cert, key, message) in [
        ("none.pem", "server.key", "cannot read {}/none.pem"),
        (
            "empty.pem",
            "server.key",
            "{}/empty.pem holds no certificate",
        ),
        (
            "broken.pem",
            "server.key",
            "{}/broken.pem is not a valid PEM file",
        ),
        (
            "server.pem",
            "server.pem",
            "{}/server.pem holds no private key",
        ),
        (
            "server.pem",
            "client.key",
            "the key in {}/client.key cannot be used with the certificate in {}/server.pem",
        ),
    ] {
        let files_given = TlsFiles {
            cert: files.path(cert),
            key: files.path(key),
            client_ca: None,
        };
        let error = load(&files_given).unwrap_err();
        let folder = files.folder.path().display().to_string();
        assert_eq!(error.to_string(), message.replace("{}", &folder));
        assert!(!error.remedy().is_empty());
    }
}
