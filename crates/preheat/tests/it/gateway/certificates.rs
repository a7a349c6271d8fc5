//! Clients that show a certificate, and clients that do not.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{SIM, serving, until};
use crate::client;
use crate::replica::{Replica, Start, signal};

const NAME: &str = "models.example";

/// An authority, what it signed for a client and for a server, and what a stranger signed himself.
fn write_certificates(folder: &Path) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    write("ca.pem", &authority.pem());
    for name in ["client", NAME] {
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new([name.to_owned()]).unwrap();
        write(
            &format!("{name}.pem"),
            &signed.signed_by(&key, &authority).unwrap().pem(),
        );
        write(&format!("{name}.key"), &key.serialize_pem());
    }
    let stranger = rcgen::generate_simple_self_signed(["stranger".to_owned()]).unwrap();
    write("stranger.pem", &stranger.cert.pem());
    write("stranger.key", &stranger.signing_key.serialize_pem());
}

fn connector(folder: &Path, shows: Option<&str>) -> TlsConnector {
    let certificate =
        |name: &str| CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
            let chain = vec![certificate(name)];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// One request; what came back, empty if the door stayed shut.
async fn ask(gateway: &Replica, connector: &TlsConnector) -> String {
    let asked = async {
        let stream = TcpStream::connect(gateway.http).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, stream).await?;
        let body = r#"["x"]"#;
        let request = format!(
            "POST /embed HTTP/1.1\r\nhost: {NAME}\r\ncontent-type: application/json\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    asked.await.unwrap_or_default()
}

/// Operators' door is plain, so it tells when the gateway is up.
async fn alive(gateway: &Replica) {
    let deadline = Instant::now() + super::PATIENCE;
    while client::get(gateway.admin, "/livez").await.is_err() {
        assert!(Instant::now() < deadline, "never alive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_ours_get_in() {
    let folder = tempfile::tempdir().unwrap();
    write_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "[auth]\ntls = {{ cert = '{}', key = '{}', client_ca = '{}' }}\n{SIM}",
        file(&format!("{NAME}.pem")),
        file(&format!("{NAME}.key")),
        file("ca.pem")
    );
    let gateway = Start::with(&config).gateway().spawn();
    alive(&gateway).await;
    until(&gateway, "one", |s| serving(s) == 1).await;
    let before = connector(folder.path(), Some("client"));
    let known = ask(&gateway, &connector(folder.path(), Some("client"))).await;
    assert!(known.starts_with("HTTP/1.1 200"), "{known}");
    for shows in [None, Some("stranger")] {
        let answer = ask(&gateway, &connector(folder.path(), shows)).await;
        assert_eq!(answer, "", "shown: {shows:?}");
    }

    gateway.hang_up().await;
    // Another authority for both sides, while it serves.
    write_certificates(folder.path());
    signal(gateway.pid(), Signal::HUP);
    let deadline = Instant::now() + super::PATIENCE;
    let after = connector(folder.path(), Some("client"));
    while !ask(&gateway, &after).await.starts_with("HTTP/1.1 200") {
        assert!(
            Instant::now() < deadline,
            "never read again: {}",
            gateway.log()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask(&gateway, &before).await, "", "those of before are none");
}
