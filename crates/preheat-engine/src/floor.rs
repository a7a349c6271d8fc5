//! What this machine cannot do faster: mapping a file, and reading memory. And which machine it is.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::{Advice, Mmap};

use crate::digest;

/// Limits of this machine, each the median of several tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Mapping a file of [`BYTES`] that is in the page cache, all of its pages.
    pub map: Duration,
    /// Reading as many bytes that are mapped already, by one thread.
    pub read: Duration,
}

/// Of the file that is mapped and read: more than caches hold.
pub const BYTES: u64 = 96 << 20;
const TRIES: usize = 9;

/// Measures in a directory of the disk that models are on.
///
/// # Errors
/// When no file can be written or mapped there.
pub fn measure(dir: &Path) -> io::Result<Limits> {
    let mut file = tempfile::tempfile_in(dir)?;
    // One large write: that is how artefacts are written.
    file.write_all(&vec![1; BYTES as usize])?;
    let (mut maps, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        let began = Instant::now();
        let map = mapped(&file)?;
        maps.push(began.elapsed());
        let began = Instant::now();
        black_box(sum(&map));
        reads.push(began.elapsed());
    }
    Ok(Limits {
        map: median(maps),
        read: median(reads),
    })
}

#[expect(unsafe_code, reason = "mapping a file has no safe form")]
fn mapped(file: &File) -> io::Result<Mmap> {
    // SAFETY: nobody else knows this file, which has no name.
    let map = unsafe { Mmap::map(file) }?;
    // Where the kernel is too old for it, reading counts the faults.
    let _ = map.advise(Advice::PopulateRead);
    Ok(map)
}

/// At the speed of memory: eight sums that do not wait for each other.
fn sum(bytes: &[u8]) -> u64 {
    let (blocks, _) = bytes.as_chunks::<64>();
    let mut sums = [0u64; 8];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A name for what the processors of this machine can do, the same after a restart: the digest of the
/// first one's description.
#[must_use]
pub fn this_cpu() -> String {
    const KEYS: [&str; 9] = [
        "vendor_id",
        "cpu family",
        "model",
        "stepping",
        "flags",
        "Features",
        "CPU implementer",
        "CPU variant",
        "CPU part",
    ];
    // One processor's description takes less; there may be hundreds.
    let mut text = String::new();
    let read =
        File::open("/proc/cpuinfo").and_then(|file| file.take(8192).read_to_string(&mut text));
    // A cut in the middle of the list costs nothing: what was read before it is there.
    let _ = read;
    let first = text.split("\n\n").next().unwrap_or_default();
    let told = first.lines().filter(|line| {
        let key = line.split(':').next().unwrap_or_default().trim();
        KEYS.contains(&key)
    });
    let all: Vec<&str> = told.collect();
    let mut name = digest::of_bytes(all.join("\n").as_bytes());
    name.truncate(16);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_times_and_a_machine_has_one_name() {
        let limits = measure(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(limits.map > Duration::ZERO && limits.read > Duration::ZERO);
        assert_eq!(sum(&[1; 128]), 0x0202_0202_0202_0202 * 8);
        assert_eq!(this_cpu(), this_cpu());
        assert!(measure(Path::new("/not/there")).is_err());
    }
}
