//! JSON-RPC over a WebSocket on a unix socket, as Codex's app-server speaks it.

use crate::host::beside;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tungstenite::{Error, HandshakeError, Message, WebSocket};

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RpcError {
    /// The request was not sent.
    #[error("{0}")]
    NotAsked(String),
    /// The request was written, or may have been, and no answer came.
    #[error("{0}")]
    NoAnswer(String),
    /// The server refused the request.
    #[error("it refuses {method}: {message}")]
    Refused {
        /// The request.
        method: &'static str,
        /// What the server says.
        message: String,
    },
}

/// A connection to an app-server.
pub(super) struct Rpc {
    socket: WebSocket<UnixStream>,
    asked: u64,
    patience: Duration,
    /// Notifications that came while an answer was awaited.
    told: VecDeque<Value>,
}

impl Rpc {
    /// Connects to `socket` and introduces itself. No answer may take longer than `patience`.
    pub(super) fn connect(socket: &Path, patience: Duration) -> Result<Rpc, RpcError> {
        let lost = |error: &dyn std::fmt::Display| RpcError::NotAsked(format!("no connection to it: {error}"));
        let stream = beside::connect(socket).map_err(|error| lost(&error))?;
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(patience)).map_err(|error| lost(&error))?;
        }
        let (socket, _) = tungstenite::client("ws://localhost/", stream).map_err(|error| match error {
            HandshakeError::Interrupted(_) => lost(&"it does not answer"),
            HandshakeError::Failure(error) => lost(&error),
        })?;
        let mut rpc = Rpc { socket, asked: 0, patience, told: VecDeque::new() };
        let client = json!({"name": "iapeer", "title": null, "version": env!("CARGO_PKG_VERSION")});
        rpc.ask("initialize", json!({"clientInfo": client}))?;
        rpc.write(json!({"method": "initialized"})).map_err(|error| lost(&error))?;
        Ok(rpc)
    }

    /// Sends a request, and waits for its answer.
    pub(super) fn ask(&mut self, method: &'static str, params: Value) -> Result<Value, RpcError> {
        self.asked += 1;
        let id = self.asked;
        let text = json!({"id": id, "method": method, "params": params});
        self.write(text).map_err(|error| RpcError::NoAnswer(format!("{method} could not be written: {error}")))?;
        let end = Instant::now() + self.patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let no_answer = |why: &str| RpcError::NoAnswer(format!("no answer to {method}: {why}"));
            let mut message = match self.read(left) {
                Ok(Some(message)) => message,
                Ok(None) => return Err(no_answer("it is silent")),
                Err(error) => return Err(no_answer(&error)),
            };
            // A request of the server has a method too; it is left to the other clients.
            if message.get("method").is_some() {
                self.told.push_back(message);
            } else if message["id"] == id {
                return match message.get("error") {
                    Some(error) => {
                        let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
                        Err(RpcError::Refused { method, message: crate::base::exit::one_line(&message).to_string() })
                    }
                    None => Ok(message["result"].take()),
                };
            }
        }
    }

    /// Answers the server's own request `id`.
    pub(super) fn answer(&mut self, id: &Value, result: Value) -> Result<(), RpcError> {
        let no_answer = |error: Error| RpcError::NoAnswer(format!("the answer could not be written: {error}"));
        self.write(json!({"id": id, "result": result})).map_err(no_answer)
    }

    /// The next notification, if one comes within `patience`. `Err`: the connection is lost.
    pub(super) fn next(&mut self, patience: Duration) -> Result<Option<Value>, String> {
        if let Some(message) = self.told.pop_front() {
            return Ok(Some(message));
        }
        let end = Instant::now() + patience;
        // A late answer or a frame of the protocol itself may come first.
        while let Some(message) = self.read(end.saturating_duration_since(Instant::now()))? {
            if message.get("method").is_some() {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn write(&mut self, message: Value) -> Result<(), Error> {
        self.socket.send(Message::text(message.to_string()))
    }

    fn read(&mut self, patience: Duration) -> Result<Option<Value>, String> {
        if patience.is_zero() {
            return Ok(None);
        }
        self.socket.get_ref().set_read_timeout(Some(patience)).map_err(|error| error.to_string())?;
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).map(Some).map_err(|error| error.to_string()),
            Ok(Message::Close(_)) => Err("it closed the connection".into()),
            Ok(_) => Ok(Some(Value::Null)),
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
