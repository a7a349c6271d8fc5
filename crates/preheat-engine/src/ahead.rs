//! Bytes of a mapped file come into memory before anybody needs them.
//!
//! Warm-up meets few words of a vocabulary. After a reboot or on another machine the others lie on the
//! disk, and the first user who says one would wait for it, for ten times what a request takes.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memmap2::{Advice, Mmap, UncheckedAdvice};
use rustix::io::{ReadWriteFlags, preadv2};

/// What the page cache is asked about and read by: Linux reads no more at once, by its default.
const PIECE: usize = 128 * 1024;

/// What is mapped at once of what does not stay mapped: two of the largest pages.
const AT_ONCE: usize = 4 << 20;

/// Whether `range` is in memory already, as far as the system tells: by the last byte of each piece.
pub(crate) fn is_there(file: &File, range: Range<usize>) -> bool {
    pieces(range).all(|piece| {
        let (last, mut byte) = (piece.end as u64 - 1, [0]);
        let read = preadv2(
            file,
            &mut [IoSliceMut::new(&mut byte)],
            last,
            ReadWriteFlags::NOWAIT,
        );
        read == Ok(1)
    })
}

/// Reads what is not in memory, and maps all of `range`. What comes from the disk comes in pages as
/// large as the file system has: it is read twice as fast as in small ones, and every start that maps
/// the file after this one makes some twenty entries for it instead of ten thousand.
///
/// # Errors
/// When the file cannot be read, or is shorter.
pub(crate) fn map_all(map: &Mmap, file: &File, range: Range<usize>) -> io::Result<()> {
    want_large(map, &range);
    match populate(map, &range) {
        true => Ok(()),
        false => read(file, range),
    }
}

/// The same, and keeps none of it mapped: whoever reads a little here and there is not to count it as
/// memory of its own, not even for a moment.
///
/// # Errors
/// As for [`map_all`].
pub(crate) fn bring(map: &Mmap, file: &File, range: Range<usize>) -> io::Result<()> {
    want_large(map, &range);
    let end = range.end;
    for start in range.step_by(AT_ONCE) {
        let part = start..end.min(start + AT_ONCE);
        if !populate(map, &part) {
            return read(file, start..end);
        }
        forget(map, &part);
    }
    map_sparsely(map);
    Ok(())
}

/// From now on what is met is mapped with what lies close to it, and not all of its large page.
pub(crate) fn map_sparsely(map: &Mmap) {
    let _ = map.advise(Advice::NoHugePage);
}

/// Only a wish: kernels without such pages refuse it.
fn want_large(map: &Mmap, range: &Range<usize>) {
    let _ = map.advise_range(Advice::HugePage, range.start, range.len());
}

/// Not before Linux 5.14.
fn populate(map: &Mmap, range: &Range<usize>) -> bool {
    map.advise_range(Advice::PopulateRead, range.start, range.len())
        .is_ok()
}

#[expect(
    unsafe_code,
    reason = "memory that is not a file's would lose what is in it"
)]
fn forget(map: &Mmap, range: &Range<usize>) {
    // SAFETY: the map is of a file and only read; what is met again is read from the file again.
    let _ =
        unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
}

fn read(file: &File, range: Range<usize>) -> io::Result<()> {
    let mut bytes = vec![0; PIECE];
    pieces(range).try_for_each(|piece| {
        let into = &mut bytes[..piece.len()];
        file.read_exact_at(into, piece.start as u64)
    })
}

fn pieces(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    let starts = range.step_by(PIECE);
    starts.map(move |start| start..end.min(start + PIECE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_range_once() {
        for (start, end) in [(0, 0), (5, 5), (7, 8), (1, PIECE + 1), (9, 3 * PIECE + 10)] {
            let mut at = start;
            for piece in pieces(start..end) {
                assert_eq!(piece.start, at);
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                at = piece.end;
            }
            assert_eq!(at, end);
        }
    }

    #[expect(unsafe_code, reason = "mapping a file has no safe form")]
    #[test]
    fn what_was_on_the_disk_alone_is_in_memory() {
        use std::io::Write as _;

        use rustix::fs::{Advice, fadvise};

        const LEN: usize = 24 * PIECE + 5;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; LEN]).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // SAFETY: nobody else has the file, and it is not changed any more.
        let map = unsafe { Mmap::map(&file) }.unwrap();
        let range = 3 * PIECE..LEN;
        assert!(!is_there(&file, range.clone()));
        bring(&map, &file, range.clone()).unwrap();
        assert!(is_there(&file, range.clone()));
        for at in range.clone().step_by(4096) {
            let mut byte = [0];
            let read = preadv2(
                &file,
                &mut [IoSliceMut::new(&mut byte)],
                at as u64,
                ReadWriteFlags::NOWAIT,
            );
            assert_eq!((read, byte), (Ok(1), [7]), "byte {at} is not in memory");
        }
        assert_eq!(mapped_kb(&map), 0, "it is not this process's");
        map_all(&map, &file, range.clone()).unwrap();
        assert!(mapped_kb(&map) >= range.len() / 1024);
    }

    /// What this process has mapped of it, by the kernel's count.
    fn mapped_kb(map: &Mmap) -> usize {
        let (first, end) = (map.as_ptr() as usize, map.as_ptr() as usize + map.len());
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut is_ours, mut total) = (false, 0);
        for line in smaps.lines() {
            let start = line.split_once('-').map(|(start, _)| start);
            if let Some(Ok(start)) = start.map(|start| usize::from_str_radix(start, 16)) {
                is_ours = (first..end).contains(&start);
            }
            if let Some(kb) = line.strip_prefix("Rss:").filter(|_| is_ours) {
                total += kb.trim_end_matches("kB").trim().parse::<usize>().unwrap();
            }
        }
        total
    }

    #[expect(unsafe_code, reason = "mapping a file has no safe form")]
    #[test]
    fn what_a_file_does_not_have_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(300_000).unwrap();
        // SAFETY: nobody else has the file; what is cut off below is not read through the map.
        let map = unsafe { Mmap::map(&file) }.unwrap();
        assert!(bring(&map, &file, 1000..300_000).is_ok());
        file.set_len(100_000).unwrap();
        assert!(bring(&map, &file, 1000..300_000).is_err());
    }
}
