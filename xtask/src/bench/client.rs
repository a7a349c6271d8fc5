//! HTTP/1.1 over one kept connection: as little between clock and socket as possible.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Longer than any answer takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Client {
    stream: Box<dyn Write>,
    reader: BufReader<Box<dyn Read>>,
    body: Vec<u8>,
    /// Lines of the last answer's head.
    head: Vec<String>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader: Box<dyn Read> = Box::new(stream.try_clone()?);
        Ok(Client {
            stream: Box::new(stream),
            reader: BufReader::new(reader),
            body: Vec::new(),
            head: Vec::new(),
        })
    }

    pub(super) fn connect_unix(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader: Box<dyn Read> = Box::new(stream.try_clone()?);
        Ok(Client {
            stream: Box::new(stream),
            reader: BufReader::new(reader),
            body: Vec::new(),
            head: Vec::new(),
        })
    }

    /// The body of the last answer.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// A header of the last answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.iter().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(field, _)| *field == name);
        found.map(|(_, value)| value.trim())
    }

    /// Sends one request and waits for the last byte of its answer: status and milliseconds.
    pub(super) fn call(&mut self, request: &[u8]) -> Result<(u16, f64)> {
        let start = Instant::now();
        self.stream.write_all(request)?;
        let status = self.read_answer()?;
        Ok((status, start.elapsed().as_secs_f64() * 1e3))
    }

    /// The same, but anything except 200 is an error.
    pub(super) fn time(&mut self, request: &[u8]) -> Result<f64> {
        match self.call(request)? {
            (200, ms) => Ok(ms),
            (status, _) => bail!("answered {status}: {}", String::from_utf8_lossy(&self.body)),
        }
    }

    fn read_answer(&mut self) -> Result<u16> {
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok());
        let mut length = None;
        self.head.clear();
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = Some(value.trim().parse()?),
                Some(_) => {}
                None => break,
            }
            self.head.push(line);
        }
        let length: usize = length.context("an answer without content-length")?;
        self.body.resize(length, 0);
        self.reader.read_exact(&mut self.body)?;
        status.with_context(|| format!("not a status line: {status_line:?}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }
}

pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

pub(super) fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
