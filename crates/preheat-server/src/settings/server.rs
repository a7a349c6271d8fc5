//! Addresses, certificates, keys and limits of the front doors.

use std::path::PathBuf;
use std::time::Duration;

use preheat_api::config;
use preheat_runtime::cors::Origins;
use preheat_runtime::keys::Keys;
use preheat_runtime::tls::TlsFiles;

use super::SettingsError;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub concurrency: usize,
    pub queue: usize,
    pub request_timeout: Duration,
    /// Requests a second for each key or client; none: no limit.
    pub rate: Option<f64>,
    pub client_batch: usize,
}

pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') && !host.starts_with("unix:") {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

pub(super) fn tls_files(tls: &config::Tls) -> Result<Option<TlsFiles>, SettingsError> {
    let client_ca = Some(&tls.client_ca).filter(|path| !path.is_empty());
    match (tls.cert.as_str(), tls.key.as_str()) {
        ("", "") if client_ca.is_some() => Err(SettingsError::new(
            "auth.tls.client_ca",
            "asks clients for certificates over plain text",
            "give auth.tls.cert and auth.tls.key too",
        )),
        ("", "") => Ok(None),
        ("", _) => Err(SettingsError::new(
            "auth.tls.cert",
            "is missing",
            "give both, or neither",
        )),
        (_, "") => Err(SettingsError::new(
            "auth.tls.key",
            "is missing",
            "give both, or neither",
        )),
        (cert, key) => Ok(Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: client_ca.map(PathBuf::from),
        })),
    }
}

pub(super) fn keys(setting: &str, path: &str) -> Result<Keys, SettingsError> {
    Keys::read(path).map_err(|e| SettingsError::new(setting, e.to_string(), e.remedy()))
}

pub(super) fn origins(origins: &[String]) -> Result<Origins, SettingsError> {
    Origins::read(origins)
        .map_err(|e| SettingsError::new("server.cors_origins", e.to_string(), e.remedy()))
}

pub(super) fn limits(limits: &config::Limits) -> Limits {
    Limits {
        concurrency: limits.concurrency,
        queue: limits.queue,
        request_timeout: limits.request_timeout.0,
        rate: (limits.rate > 0.0).then_some(limits.rate),
        client_batch: limits.client_batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_family() {
        assert_eq!(address("127.0.0.1", 80), "127.0.0.1:80");
        assert_eq!(address("::1", 80), "[::1]:80");
    }
}
