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
    /// Whether a head has begun, if only with one of the empty lines that may precede it.
    begun: bool,
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
            begun: false,
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
        self.begun
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
        self.begun |= self.state == State::Start;
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
            State::ChunkSize => match chunk_size(text, whole.is_some()) {
                Some(0) => State::Trailers,
                Some(size) => State::Chunk(size),
                None => self.lose(),
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
        self.begun = false;
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
fn chunk_size(line: &[u8], whole: bool) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit());
    // The number itself may have been cut.
    let end = end.or(whole.then_some(line.len()))?;
    let digits = std::str::from_utf8(&line[..end]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One request, as it is written and as it has to be understood.
    #[derive(Debug, Clone)]
    enum Message {
        Plain,
        Sized(Vec<u8>),
        Chunked(Vec<Vec<u8>>),
        Smuggled(Vec<u8>),
    }

    impl Message {
        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(b"POST /embed HTTP/1.1\r\nHost: a\r\nX-Long: ");
            out.extend_from_slice(&[b'x'; 300]);
            out.extend_from_slice(b"\r\n");
            match self {
                Message::Plain => out.extend_from_slice(b"\r\n"),
                Message::Sized(body) => {
                    out.extend_from_slice(
                        format!("content-LENGTH: {}\r\n\r\n", body.len()).as_bytes(),
                    );
                    out.extend_from_slice(body);
                }
                Message::Chunked(chunks) => {
                    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                        out.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
                        out.extend_from_slice(chunk);
                        out.extend_from_slice(b"\r\n");
                    }
                    out.extend_from_slice(b"0\r\nTrailer: content-length: 5\r\n\r\n");
                }
                Message::Smuggled(body) => {
                    let head = format!(
                        "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        body.len()
                    );
                    out.extend_from_slice(head.as_bytes());
                    out.extend_from_slice(body);
                }
            }
        }
    }

    fn body() -> impl Strategy<Value = Vec<u8>> {
        // Bodies that look like heads are what would confuse a sloppy reader.
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            Just(
                b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_vec()
            ),
            Just(b"\r\n\r\n0\r\n\r\n".to_vec()),
        ]
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            2 => Just(Message::Plain),
            3 => body().prop_map(Message::Sized),
            3 => prop::collection::vec(body(), 0..4).prop_map(Message::Chunked),
            1 => body().prop_map(Message::Smuggled),
        ]
    }

    fn feed_in_parts(bytes: &[u8], cuts: &[usize]) -> Framing {
        let mut framing = Framing::new();
        let mut rest = bytes;
        for cut in cuts {
            let (part, next) = rest.split_at((*cut).min(rest.len()));
            framing.feed(part);
            rest = next;
        }
        framing.feed(rest);
        framing
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn finds_the_first_bad_request_however_the_bytes_arrive(
            messages in prop::collection::vec(message(), 1..6),
            cuts in prop::collection::vec(0_usize..90, 0..40),
        ) {
            let mut bytes = Vec::new();
            messages.iter().for_each(|message| message.write(&mut bytes));
            let bad = messages.iter().position(|message| matches!(message, Message::Smuggled(_)));

            let framing = feed_in_parts(&bytes, &cuts);

            prop_assert_eq!(framing.first_bad(), bad.map(|bad| bad as u64));
            if bad.is_none() {
                prop_assert_eq!(framing.heads, messages.len() as u64);
                prop_assert!(!framing.in_head());
            }
        }

        #[test]
        fn takes_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..500), cut in 0_usize..500) {
            let whole = feed_in_parts(&bytes, &[]);
            let parts = feed_in_parts(&bytes, &[cut]);
            prop_assert_eq!(whole.first_bad(), parts.first_bad());
            prop_assert_eq!(whole.heads, parts.heads);
        }
    }

    fn first_bad(text: &str) -> Option<u64> {
        feed_in_parts(text.as_bytes(), &[]).first_bad()
    }

    #[test]
    fn refuses_each_way_to_be_unclear() {
        let head = |lines: &str| first_bad(&format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n"));
        let long = format!("Transfer-Encoding:{}chunked", " ".repeat(400));
        for (lines, bad) in [
            ("Content-Length: 3", false),
            ("Content-Length: 3\r\nContent-Length: 3", false),
            ("Transfer-Encoding: chunked", false),
            ("X-Content-Length: 3\r\nTransfer-Encoding: chunked", false),
            ("Content-Length: 3\r\nTransfer-Encoding: chunked", true),
            ("transfer-encoding: chunked\ncontent-length: 3", true),
            (
                "Transfer-Encoding: gzip, chunked\r\nContent-Length: 0",
                true,
            ),
            ("Content-Length: 3\r\nContent-Length: 4", true),
            ("Content-Length: 3, 3", true),
            ("Content-Length: +3", true),
            ("Content-Length: 99999999999999999999999", true),
            (long.as_str(), true),
        ] {
            assert_eq!(head(lines), bad.then_some(0), "{lines:?}");
        }
    }

    #[test]
    fn refuses_whatever_follows_bytes_it_cannot_follow() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(first_bad(&format!("{chunked}zz\r\n")), Some(1));
        assert_eq!(first_bad(&format!("{chunked}1\r\nab\r\n")), Some(1));
        assert_eq!(
            first_bad(&format!("{chunked}{}5\r\n", "0".repeat(300))),
            Some(1)
        );
    }

    #[test]
    fn tells_the_protocol_from_the_first_bytes() {
        for (bytes, protocol) in [
            (&b""[..], Protocol::Unknown),
            (b"PRI * HTTP/2.0\r\n\r\nSM", Protocol::Unknown),
            (PREFACE, Protocol::Http2),
            (b"PR", Protocol::Unknown),
            (b"PRIX", Protocol::Http1),
            (b"G", Protocol::Http1),
            (b"\r\n", Protocol::Http1),
        ] {
            for cut in 0..=bytes.len() {
                let framing = feed_in_parts(bytes, &[cut]);
                assert_eq!(framing.protocol(), protocol, "{bytes:?} cut at {cut}");
            }
        }
        assert!(feed_in_parts(b"GE", &[]).in_head());
        assert!(!feed_in_parts(b"GET / HTTP/1.1\r\n\r\n", &[]).in_head());
    }
}
