//! Follows the HTTP/1 requests in a byte stream closely enough to count them and to find those
//! whose length is stated twice.
//!
//! A request with both `content-length` and `transfer-encoding` is how one request is smuggled past
//! a proxy inside another. Hyper quietly prefers one of the two; we want to refuse. This machine
//! reads along and names the first bad request; it changes nothing, and hyper remains the judge of
//! all else. Where it loses track (bytes that hyper should refuse too), it names the next request
//! as bad: it can only ever refuse too much, never let through.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longer lines are cut; only the beginning of one ever matters.
const MAX_LINE: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Fewer bytes than it takes to tell.
    Unknown,
    Http1,
    Http2,
}

#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    line: Vec<u8>,
    head: Head,
    heads: u64,
    first_bad: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of the HTTP/2 preface were seen, and nothing else.
    Preface(usize),
    Http2,
    /// Before the request line; empty lines are skipped.
    Start,
    Headers,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    /// The line end that follows a chunk's data.
    ChunkEnd,
    Trailers,
    Lost,
}

/// What the head so far says about the length of the body.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    length: Option<u64>,
    /// A line about length that we could not read to the end or make sense of.
    unclear: bool,
    encoded: bool,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Framing {
            state: State::Preface(0),
            line: Vec::new(),
            head: Head::default(),
            heads: 0,
            first_bad: None,
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self.state {
            State::Preface(_) => Protocol::Unknown,
            State::Http2 => Protocol::Http2,
            _ => Protocol::Http1,
        }
    }

    /// Whether some bytes of a head have come, but not all.
    pub(crate) fn in_head(&self) -> bool {
        match self.state {
            State::Start => !self.line.is_empty(),
            State::Headers => true,
            _ => false,
        }
    }

    /// The first request to refuse, counted from 0. Every later one is to be refused too.
    pub(crate) fn first_bad(&self) -> Option<u64> {
        self.first_bad
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.state {
                State::Preface(seen) => self.preface(seen, bytes),
                State::Http2 | State::Lost => return,
                State::Body(left) => self.skip(left, bytes, State::Body, State::Start),
                State::Chunk(left) => self.skip(left, bytes, State::Chunk, State::ChunkEnd),
                State::Start
                | State::Headers
                | State::ChunkSize
                | State::ChunkEnd
                | State::Trailers => self.line_part(bytes),
            };
            bytes = &bytes[taken..];
        }
    }

    fn preface(&mut self, seen: usize, bytes: &[u8]) -> usize {
        let expected = &PREFACE[seen..];
        let same = bytes
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        let seen = seen + same;
        if seen == PREFACE.len() {
            self.state = State::Http2;
        } else if same == bytes.len() {
            self.state = State::Preface(seen);
        } else {
            // HTTP/1 after all: what looked like a preface was its beginning.
            self.state = State::Start;
            self.feed(&PREFACE[..seen]);
        }
        same
    }

    fn skip(&mut self, left: u64, bytes: &[u8], more: fn(u64) -> State, end: State) -> usize {
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let left = left - taken as u64;
        self.state = if left == 0 { end } else { more(left) };
        taken
    }

    /// Takes bytes up to the end of the line, and acts on the line when it is whole.
    fn line_part(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        let room = MAX_LINE - self.line.len();
        self.line.extend_from_slice(&bytes[..taken.min(room)]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.state = self.after(&line);
            self.line = line;
            self.line.clear();
        }
        taken
    }

    fn after(&mut self, line: &[u8]) -> State {
        let whole = line.strip_suffix(b"\n");
        let text = whole.map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        match self.state {
            State::Start if text.is_empty() => State::Start,
            State::Start => {
                self.head = Head::default();
                State::Headers
            }
            State::Headers if text.is_empty() => self.end_of_head(),
            State::Headers => {
                self.head.header(text, whole.is_some());
                State::Headers
            }
            State::ChunkSize => match (whole, chunk_size(text)) {
                (_, Some(0)) => State::Trailers,
                (_, Some(size)) => State::Chunk(size),
                (_, None) => self.lose(),
            },
            State::ChunkEnd if text.is_empty() => State::ChunkSize,
            State::Trailers if text.is_empty() => State::Start,
            State::Trailers => State::Trailers,
            _ => self.lose(),
        }
    }

    fn end_of_head(&mut self) -> State {
        let this = self.heads;
        self.heads += 1;
        if self.head.unclear || (self.head.encoded && self.head.length.is_some()) {
            self.first_bad = self.first_bad.or(Some(this));
            return State::Lost;
        }
        match (self.head.encoded, self.head.length) {
            (true, _) => State::ChunkSize,
            (false, None | Some(0)) => State::Start,
            (false, Some(length)) => State::Body(length),
        }
    }

    /// No head is followed from here on, so none may pass.
    fn lose(&mut self) -> State {
        self.first_bad = self.first_bad.or(Some(self.heads));
        State::Lost
    }
}

impl Head {
    fn header(&mut self, line: &[u8], whole: bool) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length =
                decimal(value).filter(|length| self.length.is_none_or(|old| old == *length));
            self.unclear |= !whole || length.is_none();
            self.length = length.or(self.length).or(Some(0));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.unclear |= !whole;
            self.encoded = true;
        }
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text)
        .ok()
        .filter(|_| text.iter().all(u8::is_ascii_digit))?;
    digits.parse().ok()
}

/// The hexadecimal number at the start of a chunk, extensions left aside.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let digits = std::str::from_utf8(&line[..end]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}
