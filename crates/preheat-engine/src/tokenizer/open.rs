//! Which of the two tokenizers runs, and where it comes from.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokenizers::Tokenizer as Library;

use super::compile::Details;
use super::compiled::Compiled;
use super::compiled::blob::{Blob, Bytes, VERSION};
use super::pair::Pair;
use super::{Adjust, Kind, Prompts, TokenizeError, Tokenizer, compile, library, proof};
use crate::digest;
use crate::file::{self, TOKENIZER_MB};
use crate::load::{LoadError, TokenizerForm};
use crate::store::{self, Identity, Places, stamp};

/// A tokenizer and how it came to be.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) tokenizer: Tokenizer,
    pub(crate) form: TokenizerForm,
}

impl Opened {
    pub(crate) fn prompted(mut self, prompts: Prompts) -> Self {
        self.tokenizer.prompts = prompts;
        self
    }

    /// A tokenizer of another model gives ids that this one has no vector for: the first text with one of
    /// them would fail, and what is batched with it.
    ///
    /// # Errors
    /// An id at or above `vocab`.
    pub(crate) fn within(self, vocab: usize, path: &Path) -> Result<Self, LoadError> {
        match self.tokenizer.largest_known_id() {
            Some(id) if id as usize >= vocab => Err(LoadError::Vocabulary {
                path: path.to_owned(),
                id,
                vocab,
            }),
            _ => Ok(self),
        }
    }
}

/// The model's own tokenizer: its compiled form, where there is a place to keep one and the file
/// has one, else the `tokenizers` crate. `adjust` is what other files change about it.
pub(crate) fn open(
    path: &Path,
    adjust: Adjust,
    max_tokens: usize,
    places: Places<'_>,
) -> Result<Opened, LoadError> {
    let (kind, form) = match places.baked.is_some() || places.store.is_some() {
        true => compiled(path, adjust, places)?,
        false => (
            uncompiled(library::read(path, adjust)?),
            TokenizerForm::Library { reason: None },
        ),
    };
    let tokenizer = Tokenizer {
        kind,
        max_tokens,
        prompts: Prompts::default(),
    };
    let reject = |reason| LoadError::Tokenizer {
        path: path.to_owned(),
        reason,
    };
    let empty = tokenizer.encode("").map_err(|error| reject(error.reason))?;
    if empty.len() >= max_tokens {
        return Err(reject(format!(
            "its {} special tokens leave no room in {max_tokens}",
            empty.len()
        )));
    }
    Ok(Opened { tokenizer, form })
}

fn uncompiled(library: Library) -> Kind {
    Kind::Library {
        stops_at_spaces: library::stops_at_spaces(&library),
        pair: Pair::of(&library),
        library: Box::new(library),
    }
}

fn compiled(
    path: &Path,
    adjust: Adjust,
    places: Places<'_>,
) -> Result<(Kind, TokenizerForm), LoadError> {
    let unreadable = |source| LoadError::unread(path, source);
    let file = file::open(path).map_err(unreadable)?;
    let sha256 = stamp::digest(&file, path, places.store, places.baked, || {
        file::read(path, TOKENIZER_MB).map(|bytes| digest::of_bytes(&bytes))
    })
    .map_err(unreadable)?;
    let identity = Identity {
        kind: store::Kind::Tokenizer,
        text: format!(
            "tokenizer {sha256}{} form {VERSION} by {}",
            adjust.text(),
            env!("CARGO_PKG_VERSION")
        ),
    };
    let mut parsed = None;
    let (content, state) = store::open(places, &identity, None, || {
        let library = library::read(path, adjust)?;
        let bytes = make(&library);
        parsed = Some(library);
        Ok(bytes)
    })?;
    let opened = Blob::open(content)
        .ok_or_else(|| "its compiled form makes no sense".to_owned())
        .and_then(Compiled::open);
    Ok(match opened {
        Ok(compiled) => {
            let source = Source {
                path: path.to_owned(),
                sha256,
                adjust,
                library: OnceLock::new(),
            };
            (
                Kind::Compiled {
                    compiled: Box::new(compiled),
                    source,
                },
                TokenizerForm::Compiled(state),
            )
        }
        Err(reason) => {
            let library = parsed.map_or_else(|| library::read(path, adjust), Ok)?;
            (
                uncompiled(library),
                TokenizerForm::Library {
                    reason: Some(reason),
                },
            )
        }
    })
}

/// The compiled form, proven equal, or why there is none.
fn make(library: &Library) -> Bytes {
    proven(library, Details::With)
        .and_then(
            |(bytes, compiled)| match proof::tells_details(&compiled, library) {
                true => Ok(bytes),
                false => proven(library, Details::Without).map(|(bytes, _)| bytes),
            },
        )
        .unwrap_or_else(|reason| compile::refused(&reason))
}

fn proven(library: &Library, details: Details) -> Result<(Bytes, Compiled), String> {
    let bytes =
        compile::compile(library, details).map_err(|refusal| format!("it has {refusal}"))?;
    let blob = Blob::open(store::Content::Private(bytes.clone()));
    let compiled = Compiled::open(blob.ok_or("it cannot be read back")?)?;
    proof::equal(&compiled, library)?;
    Ok((bytes, compiled))
}

/// The file that a compiled tokenizer was made from; read again when someone needs more than ids, and
/// the compiled form does not tell it.
pub(super) struct Source {
    path: PathBuf,
    sha256: String,
    adjust: Adjust,
    library: OnceLock<Result<Box<Library>, TokenizeError>>,
}

impl Source {
    pub(super) fn library(&self) -> Result<&Library, TokenizeError> {
        let library = self.library.get_or_init(|| self.read().map(Box::new));
        library.as_deref().map_err(Clone::clone)
    }

    pub(super) fn is_read(&self) -> bool {
        self.library.get().is_some()
    }

    fn read(&self) -> Result<Library, TokenizeError> {
        let reject = |reason: String| TokenizeError { reason };
        let bytes = file::read(&self.path, TOKENIZER_MB)
            .map_err(|error| reject(format!("{} cannot be read: {error}", self.path.display())))?;
        if digest::of_bytes(&bytes) != self.sha256 {
            let path = self.path.display();
            return Err(reject(format!(
                "{path} was changed while the model was served"
            )));
        }
        library::parse(&bytes, self.adjust).map_err(reject)
    }
}
