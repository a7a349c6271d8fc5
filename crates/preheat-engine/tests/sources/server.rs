//! A small HTTP/1.1 server: a route is a function from a request to a reply. It speaks ranges and
//! tags, counts what it sends, and breaks off where a test wants it to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use crate::model::Files;

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Reply {
            status,
            ..Reply::default()
        }
    }

    pub(crate) fn text(body: impl Into<Vec<u8>>) -> Self {
        Reply {
            status: 200,
            body: body.into(),
            ..Reply::default()
        }
    }

    pub(crate) fn redirect(to: String) -> Self {
        Reply {
            headers: vec![("Location", to)],
            ..Reply::status(302)
        }
    }

    /// A file as good servers serve it. Its tag is that of its content.
    pub(crate) fn file(request: &Request, bytes: &[u8]) -> Self {
        let tag = format!(
            "\"{}-{}\"",
            bytes.len(),
            bytes.iter().map(|&b| u64::from(b)).sum::<u64>()
        );
        let mut reply = Reply::text(bytes);
        reply.headers = vec![
            ("ETag", tag.clone()),
            ("Last-Modified", "Tue, 01 Jul 2025 00:00:00 GMT".to_owned()),
        ];
        let is_same = ["if-range", "if-match"]
            .iter()
            .all(|name| request.header(name).is_none_or(|wanted| wanted == tag));
        if !is_same && request.header("if-match").is_some() {
            return Reply::status(412);
        }
        let start: Option<usize> = request.header("range").filter(|_| is_same).map(|range| {
            range["bytes=".len()..]
                .split('-')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        });
        match start {
            None => reply,
            Some(start) if start >= bytes.len() => Reply {
                headers: vec![("Content-Range", format!("bytes */{}", bytes.len()))],
                ..Reply::status(416)
            },
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                reply.headers.push(("Content-Range", range));
                Reply {
                    status: 206,
                    body: bytes[start..].to_vec(),
                    ..reply
                }
            }
        }
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    route: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    seen: Mutex<Vec<Request>>,
    sent: AtomicUsize,
    stopped: AtomicBool,
}

impl Server {
    pub(crate) fn start(route: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            route: Box::new(route),
            seen: Mutex::default(),
            sent: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let accepting = {
            let state = Arc::clone(&state);
            Builder::new()
                .name("stand-in".into())
                .spawn(move || accept(&listener, &state))
        };
        Server {
            address,
            state,
            accepting: Some(accepting.unwrap()),
        }
    }

    /// Serves these files under `/m/`.
    pub(crate) fn of(files: &Files) -> Self {
        let files = files.clone();
        Server::start(move |request| serve(request, "/m/", &files))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn requests_for(&self, end: &str) -> Vec<Request> {
        self.seen()
            .into_iter()
            .filter(|request| request.path().ends_with(end))
            .collect()
    }

    /// Bytes of bodies.
    pub(crate) fn sent(&self) -> usize {
        self.state.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the listener
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// A file of a directory, or 404.
pub(crate) fn serve(request: &Request, directory: &str, files: &Files) -> Reply {
    let name = request.path().strip_prefix(directory).unwrap_or_default();
    match files.iter().find(|(known, _)| *known == name) {
        Some((_, bytes)) => Reply::file(request, bytes),
        None => Reply::status(404),
    }
}

/// An address on which nothing listens.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.stopped.load(Ordering::SeqCst) {
            return;
        }
        let (stream, state) = (stream.unwrap(), Arc::clone(state));
        Builder::new()
            .name("stand-in connection".into())
            .spawn(move || answer(&stream, &state))
            .unwrap();
    }
}

fn answer(mut stream: &TcpStream, state: &State) -> Option<()> {
    let request = read_request(stream)?;
    state.seen.lock().unwrap().push(request.clone());
    let reply = (state.route)(&request);
    let mut head = format!(
        "HTTP/1.1 {} Stand-in\r\nConnection: close\r\n",
        reply.status
    );
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", reply.body.len());
    stream.write_all(head.as_bytes()).ok()?;
    if request.method != "HEAD" {
        let body = &reply.body[..reply.cut.unwrap_or(reply.body.len())];
        stream.write_all(body).ok()?;
        state.sent.fetch_add(body.len(), Ordering::SeqCst);
    }
    Some(())
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.take(1 << 16)).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    Some(Request {
        method,
        target,
        headers,
    })
}
