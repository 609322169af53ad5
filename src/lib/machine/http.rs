//! Requests to a program's own server on the loopback interface, in HTTP/1.1: a connection for each, JSON both ways.

use crate::base::exit::one_line;
use crate::host::loopback;
use crate::store::channel::HttpPlace;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::{EMPTY_HEADER, Response, Status, parse_chunk_size};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// The user's name that opencode's server expects by default.
const USER: &str = "opencode";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HttpError {
    /// The request was not sent.
    #[error("{0}")]
    NotAsked(String),
    /// The request was written, or may have been, and no answer came.
    #[error("{0}")]
    NoAnswer(String),
    /// The server answered with a status that is no success.
    #[error("it answers {request} with {status}: {said}")]
    Refused {
        /// The request.
        request: String,
        /// The status.
        status: u16,
        /// What the server says.
        said: String,
    },
}

/// A server, and how to ask it.
pub(super) struct HttpServer {
    port: u16,
    authorization: String,
    patience: Duration,
}

impl HttpServer {
    /// The server at `place`. No answer may take longer than `patience`.
    pub(super) fn at(place: &HttpPlace, patience: Duration) -> HttpServer {
        let authorization = STANDARD.encode(format!("{USER}:{}", place.password));
        HttpServer { port: place.port, authorization, patience }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, HttpError> {
        self.ask("GET", path, "")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.ask("POST", path, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value, HttpError> {
        let request = || format!("{method} {}", path.split('?').next().unwrap_or(path));
        let end = Instant::now() + self.patience;
        let mut stream = loopback::connect(self.port, self.patience)
            .map_err(|error| HttpError::NotAsked(format!("no connection to it: {error}")))?;
        let lost = |why: &dyn std::fmt::Display| HttpError::NoAnswer(format!("no answer to {}: {why}", request()));
        let (port, authorization, length) = (self.port, &self.authorization, body.len());
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Basic {authorization}\r\n\
             connection: close\r\naccept: application/json\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        let written = stream.set_write_timeout(Some(self.patience)).and_then(|()| stream.write_all(text.as_bytes()));
        written.map_err(|error| lost(&error))?;
        let (status, body) = read(&mut stream, end).map_err(|why| lost(&why))?;
        if !(200..300).contains(&status) {
            let said = one_line(&String::from_utf8_lossy(&body)).chars().take(200).collect();
            return Err(HttpError::Refused { request: request(), status, said });
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|_| lost(&"what it says is no JSON"))
    }
}

/// Reads an answer: its status and its body.
fn read(stream: &mut TcpStream, end: Instant) -> Result<(u16, Vec<u8>), String> {
    let (mut all, mut some) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("it is silent".into());
        }
        stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let got = match stream.read(&mut some) {
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error.to_string()),
        };
        all.extend_from_slice(&some[..got]);
        if let Some(answer) = answer(&all, got == 0)? {
            return Ok(answer);
        }
        if got == 0 {
            return Err("it closed the connection".into());
        }
        if all.len() > ANSWER_MAX {
            return Err("the answer has no end".into());
        }
    }
}

/// The answer in `all`, status and body; `None` while some of it is missing. `closed`: no more will come.
fn answer(all: &[u8], closed: bool) -> Result<Option<(u16, Vec<u8>)>, String> {
    let mut headers = [EMPTY_HEADER; 64];
    let mut response = Response::new(&mut headers);
    let Status::Complete(head) = response.parse(all).map_err(|error| format!("no HTTP: {error}"))? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let rest = &all[head..];
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let body = if matches!(status, 204 | 304) {
        Some(Vec::new())
    } else if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(rest)?
    } else if let Some(length) = header("content-length") {
        let length: usize = length.parse().map_err(|_| format!("no HTTP: a length of {length:?}"))?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        closed.then(|| rest.to_vec())
    };
    Ok(body.map(|body| (status, body)))
}

/// The body that comes in chunks; `None` while some are missing.
fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let size = parse_chunk_size(rest).map_err(|_| "no HTTP: a chunk without a size".to_owned())?;
        let Status::Complete((skip, size)) = size else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(chunk) = rest.get(skip..skip.saturating_add(size)) else { return Ok(None) };
        body.extend_from_slice(chunk);
        // An end of line follows each chunk.
        let Some(after) = rest.get(skip + size + 2..) else { return Ok(None) };
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_a_table() {
        let ok = "HTTP/1.1 200 OK\r\n";
        #[rustfmt::skip]
        let table = [
            ("", false, Ok(None)),
            ("HTTP/1.1 200 OK\r\ncontent-le", false, Ok(None)),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, Ok(Some((204, "")))),
            ("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", false, Ok(Some((500, "no")))),
            ("OKcontent-length: 3\r\n\r\n[1", false, Ok(None)),
            ("OKcontent-length: 3\r\n\r\n[1]", false, Ok(Some((200, "[1]")))),
            ("OK\r\n[1", false, Ok(None)),
            ("OK\r\n[1]", true, Ok(Some((200, "[1]")))),
            ("OKtransfer-encoding: Chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n", false, Ok(Some((200, "[1]")))),
            ("OKtransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1", false, Ok(None)),
            ("OKtransfer-encoding: chunked\r\n\r\nx\r\n", false, Err("no HTTP")),
            ("SSH-2.0-x\r\n", false, Err("no HTTP")),
        ];
        for (text, closed, expected) in table {
            let text = text.strip_prefix("OK").map_or(text.to_owned(), |rest| format!("{ok}{rest}"));
            let found = answer(text.as_bytes(), closed).map_err(|_| "no HTTP");
            let expected = expected.map(|found| found.map(|(status, body)| (status, body.as_bytes().to_vec())));
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
