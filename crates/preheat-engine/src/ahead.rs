//! Bytes of a mapped file come into memory before anybody needs them.
//!
//! Warm-up meets few words of a vocabulary. After a reboot or on another machine the others lie on the
//! disk, and the first user who says one would wait for it, for ten times what a request takes. Nothing
//! is mapped by this: pages that are in memory already cost next to nothing.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use memmap2::{Advice, Mmap};

/// Linux reads no more than this of a longer range, by its default.
const PIECE: usize = 128 * 1024;

/// Has the system read `range` in the background.
pub(crate) fn ask(map: &Mmap, range: Range<usize>) {
    for piece in pieces(range) {
        // Without it the bytes are read one piece after another, by `wait`.
        let _ = map.advise_range(Advice::WillNeed, piece.start, piece.len());
    }
}

/// Waits until `range` is there: for the last byte of each piece.
pub(crate) fn wait(file: &File, range: Range<usize>) -> io::Result<()> {
    pieces(range).try_for_each(|piece| file.read_exact_at(&mut [0], piece.end as u64 - 1))
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

    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "mapping a file has no safe form")]
    #[test]
    fn what_was_on_the_disk_alone_is_in_memory() {
        use std::io::{IoSliceMut, Write as _};

        use rustix::fs::{Advice, fadvise};
        use rustix::io::{ReadWriteFlags, preadv2};

        const LEN: usize = 24 * PIECE + 5;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; LEN]).unwrap();
        file.sync_all().unwrap();
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        // SAFETY: nobody else has the file, and it is not changed any more.
        let map = unsafe { Mmap::map(&file) }.unwrap();
        let range = 3 * PIECE..LEN;
        ask(&map, range.clone());
        wait(&file, range.clone()).unwrap();
        for at in range.step_by(4096) {
            let mut byte = [0];
            let read = preadv2(
                &file,
                &mut [IoSliceMut::new(&mut byte)],
                at as u64,
                ReadWriteFlags::NOWAIT,
            );
            assert_eq!((read, byte), (Ok(1), [7]), "byte {at} is not in memory");
        }
    }

    #[test]
    fn what_a_file_does_not_have_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(300_000).unwrap();
        assert!(wait(&file, 1000..300_000).is_ok());
        assert!(wait(&file, 1000..300_001).is_err());
    }
}
