//! Brings one remote file onto the disk: goes on where an earlier attempt ended, tries again when
//! the line breaks, hashes while writing, and hands out nothing that differs from what was promised.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use super::cache::{Lock, Staging};
use super::error::FetchError;
use super::files::FileFacts;
use super::{Fetch, blocking, bucket, http};
use crate::digest::Sink;
use crate::file::{self, RECORD_MB};

const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Pieces of a body are gathered up to this size, so that a large file is a hundred writes.
const BLOCK: usize = 1 << 20;

/// A file on another machine.
pub(super) enum Remote<'a> {
    Http(&'a http::Client, url::Url),
    Bucket(&'a bucket::Bucket, object_store::path::Path),
}

/// What is known of a file before it is asked for.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<&'a str>,
}

/// What an earlier attempt left: the server is asked to go on from `bytes` if its file is still
/// the one that had this tag.
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) etag: String,
}

/// A server's answer, from `start` to the end of the file.
pub(super) struct Answer {
    pub(super) start: u64,
    pub(super) total: Option<u64>,
    /// Only a strong one: a weak one does not promise the same bytes.
    pub(super) etag: Option<String>,
    pub(super) body: Body,
}

pub(super) enum Body {
    Http(reqwest::Response),
    Bucket(BoxStream<'static, object_store::Result<Bytes>>),
    /// The earlier attempt had it all.
    Empty,
}

impl Remote<'_> {
    async fn open(&self, kept: Option<&Kept>) -> Result<Answer, FetchError> {
        match self {
            Remote::Http(client, url) => client.open(url, kept).await,
            Remote::Bucket(bucket, path) => bucket.open(path, kept).await,
        }
    }
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Box<dyn Error + Send + Sync>> {
        match self {
            Body::Http(response) => Ok(response.chunk().await.map_err(|e| e.without_url())?),
            Body::Bucket(stream) => Ok(stream.next().await.transpose()?),
            Body::Empty => Ok(None),
        }
    }
}

/// Downloads into the staging directory. The caller decides whether the file is one of the model's.
pub(super) async fn download(
    remote: &Remote<'_>,
    wanted: &Wanted<'_>,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<FileFacts, FetchError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt(remote, wanted, fetch, staging).await {
            Err(error) if error.is_passing() => {
                tracing::info!(file = wanted.name, error = error.chain(), "trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    attempt(remote, wanted, fetch, staging).await
}

async fn attempt(
    remote: &Remote<'_>,
    wanted: &Wanted<'_>,
    fetch: &Fetch<'_>,
    staging: &mut Staging,
) -> Result<FileFacts, FetchError> {
    let part = Part {
        path: staging.part(wanted.name)?,
        lock: staging.lock(),
    };
    let answer = remote.open(part.kept().as_ref()).await?;
    let limit = fetch.options.max_file_bytes;
    let too_large = || FetchError::TooLarge {
        file: wanted.name.to_owned(),
        limit,
    };
    if answer.total.is_some_and(|total| total > limit) {
        return Err(too_large());
    }
    fetch.progress.file(wanted.name, answer.total);
    let mut writer = part
        .writer(answer.start, answer.total, answer.etag.clone())
        .await?;
    let mut body = answer.body;
    let received = loop {
        match body.chunk().await {
            Ok(Some(bytes)) => {
                staging.count(bytes.len() as u64);
                writer.push(&bytes).await?;
            }
            Ok(None) => break Ok(()),
            Err(source) => break Err(source),
        }
        fetch.progress.bytes(writer.done);
        if writer.done > limit {
            return Err(too_large());
        }
    };
    writer.flush().await?; // a broken transfer, too, is continued from here
    let cut_short = answer.total.is_some_and(|total| writer.done < total);
    let received = match received {
        Ok(()) if cut_short => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        other => other,
    };
    if let Err(source) = received {
        let file = wanted.name.to_owned();
        return Err(FetchError::Interrupted {
            file,
            done: writer.done,
            source,
        });
    }
    let facts = writer.finish(wanted.name).await?;
    check(wanted, &facts).inspect_err(|_| part.remove())?;
    Ok(facts)
}

fn check(wanted: &Wanted<'_>, facts: &FileFacts) -> Result<(), FetchError> {
    if let Some(expected) = wanted.bytes.filter(|&bytes| bytes != facts.bytes) {
        let file = wanted.name.to_owned();
        return Err(FetchError::Size {
            file,
            expected,
            actual: facts.bytes,
        });
    }
    if let Some(expected) = wanted.sha256.filter(|&sha256| sha256 != facts.sha256) {
        return Err(FetchError::Checksum {
            file: wanted.name.to_owned(),
            expected: expected.to_owned(),
            actual: facts.sha256.clone(),
        });
    }
    Ok(())
}

/// A file that is not complete yet, and beside it the tag of the remote file it is a part of.
struct Part {
    path: PathBuf,
    lock: Lock,
}

impl Part {
    fn tag_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(".etag");
        path.into()
    }

    fn kept(&self) -> Option<Kept> {
        let bytes = fs::metadata(&self.path)
            .ok()
            .filter(|found| found.len() > 0)?
            .len();
        let etag = file::read_text(&self.tag_path(), RECORD_MB).ok()?;
        let is_sound = etag.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        is_sound.then_some(Kept { bytes, etag })
    }

    fn remove(&self) {
        // Neither is worth an error of its own: without its tag a part is never continued.
        let _ = fs::remove_file(self.tag_path());
        let _ = fs::remove_file(&self.path);
    }

    /// Takes the answer's head alone: a body cannot be shared between threads, and whoever fetches
    /// may be moved between them while this waits.
    async fn writer(
        &self,
        start: u64,
        total: Option<u64>,
        etag: Option<String>,
    ) -> Result<Writer, FetchError> {
        let (path, tag_path, lock) = (self.path.clone(), self.tag_path(), self.lock.clone());
        let missing = total.map_or(0, |total| total.saturating_sub(start));
        let sink = blocking(move || {
            let _lock = lock;
            room_for(&path, missing)?;
            if start > 0 {
                return Sink::resume(&path).map_err(|error| FetchError::io("read", &path, error));
            }
            let sink =
                Sink::create(&path).map_err(|error| FetchError::write(&path, missing, error))?;
            match etag {
                Some(etag) => fs::write(&tag_path, etag)
                    .map_err(|error| FetchError::write(&tag_path, missing, error))?,
                None => {
                    let _ = fs::remove_file(&tag_path);
                }
            }
            Ok(sink)
        })
        .await?;
        Ok(Writer {
            done: sink.written(),
            total,
            sink: Some(sink),
            block: Vec::new(),
            path: self.path.clone(),
            lock: self.lock.clone(),
        })
    }
}

/// Asks before writing: a full disk is better met with nothing spent.
fn room_for(path: &Path, bytes: u64) -> Result<(), FetchError> {
    let Some(Ok(disk)) = path.parent().map(rustix::fs::statvfs) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    // Some network file systems do not count.
    if disk.f_blocks > 0 && free < bytes {
        return Err(FetchError::write(
            path,
            bytes,
            io::ErrorKind::StorageFull.into(),
        ));
    }
    Ok(())
}

/// Gathers a body into blocks and writes them where writing may block.
struct Writer {
    /// Bytes of the file that have arrived.
    done: u64,
    total: Option<u64>,
    /// Away while a block is written; a writer dropped in between is not used again.
    sink: Option<Sink>,
    block: Vec<u8>,
    path: PathBuf,
    lock: Lock,
}

impl Writer {
    async fn push(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.block.extend_from_slice(bytes);
        self.done += bytes.len() as u64;
        if self.block.len() >= BLOCK {
            self.flush().await
        } else {
            Ok(())
        }
    }

    async fn flush(&mut self) -> Result<(), FetchError> {
        let mut sink = self.take();
        let block = std::mem::take(&mut self.block);
        let (path, lock) = (self.path.clone(), self.lock.clone());
        let total = self.total.unwrap_or(self.done);
        let (sink, block) = blocking(move || {
            let _lock = lock;
            let needed = total.saturating_sub(sink.written());
            sink.write(&block)
                .map_err(|error| FetchError::write(&path, needed, error))?;
            Ok((sink, block))
        })
        .await?;
        self.sink = Some(sink);
        self.block = block;
        self.block.clear();
        Ok(())
    }

    async fn finish(mut self, name: &str) -> Result<FileFacts, FetchError> {
        let sink = self.take();
        let path = self.path;
        let (bytes, sha256) = blocking(move || {
            sink.finish()
                .map_err(|error| FetchError::write(&path, 0, error))
        })
        .await?;
        Ok(FileFacts {
            name: name.to_owned(),
            bytes,
            sha256,
        })
    }

    fn take(&mut self) -> Sink {
        self.sink
            .take()
            .expect("every error of a block ends the attempt, and with it the writer")
    }
}
