//! Lines of an input of any length, in memory that does not grow with it.

use std::io::{self, Read};

/// What is kept of a line; the rest of a longer one is passed over.
const KEPT: usize = 16 << 10;

const BLOCK: usize = 64 << 10;

/// Calls `take` with every line and its number. Progress bars rewrite their line with `\r`: each
/// state of it is a line of the same number.
pub fn each(mut input: impl Read, mut take: impl FnMut(u64, &str)) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let (mut line, mut number) = (Vec::new(), 1);
    loop {
        let read = match input.read(&mut block) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut rest = &block[..read];
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            keep(&mut line, &rest[..end]);
            tell(&mut line, number, &mut take);
            number += u64::from(rest[end] == b'\n');
            rest = &rest[end + 1..];
        }
        keep(&mut line, rest);
    }
    tell(&mut line, number, &mut take);
    Ok(())
}

fn keep(line: &mut Vec<u8>, more: &[u8]) {
    let room = KEPT.saturating_sub(line.len());
    line.extend_from_slice(&more[..more.len().min(room)]);
}

fn tell(line: &mut Vec<u8>, number: u64, take: &mut impl FnMut(u64, &str)) {
    if !line.is_empty() {
        take(number, &String::from_utf8_lossy(line));
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        each(input, |number, text| lines.push((number, text.to_owned()))).expect("read");
        lines
    }

    #[test]
    fn lines_are_numbered_as_an_editor_does() {
        let want = [(1, "a"), (2, "10%"), (2, "100%"), (4, "\u{fffd}b")];
        let want: Vec<_> = want.iter().map(|(n, t)| (*n, (*t).to_owned())).collect();
        assert_eq!(lines(b"a\r\n10%\r100%\n\n\xffb"), want);
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 300_000];
        input.extend(b"\nend");
        let lines = lines(&input);
        assert_eq!(
            (lines[0].1.len(), lines[1].clone()),
            (KEPT, (2, "end".to_owned()))
        );
    }
}
