//! The transport: one JSON-RPC message per line on stdin and stdout.
//!
//! The SDK's transport drops a line that is not JSON. This transport answers such a line with error -32700 and, if it can be
//! read, the request's id: an agent whose program cut a character in half (`\ud83d`) must not wait until its tool call
//! times out.

use rmcp::model::{ErrorData, RequestId};
use rmcp::service::{RoleServer, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Stdin, Stdout};
use tokio::sync::Mutex;

/// Longest line that is read, in bytes; a message has at most 16,000 characters.
const LINE_MAX: usize = 16 << 20;

/// Stdin and stdout as a transport.
pub(crate) struct Stdio {
    input: BufReader<Stdin>,
    /// The part of a line that was read so far: a read that is cancelled half-way is continued by the next one.
    line: Vec<u8>,
    /// Whether the line was over the maximum: its rest is skipped.
    too_long: bool,
    output: Arc<Mutex<Stdout>>,
}

impl Stdio {
    pub(crate) fn new() -> Stdio {
        Stdio {
            input: BufReader::new(tokio::io::stdin()),
            line: Vec::new(),
            too_long: false,
            output: Arc::new(Mutex::new(tokio::io::stdout())),
        }
    }

    /// Reads up to the end of a line. `false`: the client is gone.
    async fn read_line(&mut self) -> bool {
        loop {
            let Ok(available) = self.input.fill_buf().await else { return false };
            if available.is_empty() {
                return false;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |end| end + 1);
            if self.line.len() + taken > LINE_MAX {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.input.consume(taken);
            if end.is_some() {
                return true;
            }
        }
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        write(self.output.clone(), item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        while self.read_line().await {
            let frame = if std::mem::take(&mut self.too_long) {
                let why = format!("a line of over {LINE_MAX} bytes is not read");
                Frame::Bad(ErrorData::parse_error(why, None), None)
            } else {
                Frame::read(&self.line)
            };
            self.line.clear();
            match frame {
                Frame::Message(message) => return Some(*message),
                Frame::Nothing => {}
                Frame::Bad(error, id) => {
                    let answer = TxJsonRpcMessage::<RoleServer>::error(error, id);
                    write(self.output.clone(), answer).await.ok()?;
                }
            }
        }
        None
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        Ok(())
    }
}

async fn write(output: Arc<Mutex<Stdout>>, item: TxJsonRpcMessage<RoleServer>) -> Result<(), io::Error> {
    let mut line = serde_json::to_vec(&item)?;
    line.push(b'\n');
    let mut output = output.lock().await;
    output.write_all(&line).await?;
    output.flush().await
}

/// What a line holds.
enum Frame {
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// A line that is not answered: a blank line, or a notification that we don't know.
    Nothing,
    /// A line that is answered with this error, for the request of this id.
    Bad(ErrorData, Option<RequestId>),
}

impl Frame {
    fn read(line: &[u8]) -> Frame {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() {
            return Frame::Nothing;
        }
        let value: Value = match serde_json::from_slice(line) {
            Ok(value) => value,
            Err(error) => {
                let why = format!("this is no JSON: {error}; nothing was done");
                return Frame::Bad(ErrorData::parse_error(why, None), id_in(line));
            }
        };
        let id = value.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
        let is_notification = value.get("method").is_some() && value.get("id").is_none();
        match serde_json::from_value(value) {
            Ok(message) => Frame::Message(Box::new(message)),
            Err(_) if is_notification => Frame::Nothing,
            Err(error) => Frame::Bad(ErrorData::invalid_request(format!("invalid request: {error}"), None), id),
        }
    }
}

/// The `id` of an object that is not JSON as a whole: the value of the first key `id` at its top level, outside of
/// strings.
fn id_in(line: &[u8]) -> Option<RequestId> {
    let (mut depth, mut string) = (0, None);
    let mut at = 0;
    while at < line.len() {
        match (line[at], string) {
            (b'\\', Some(_)) => at += 1,
            (b'"', Some(start)) => {
                string = None;
                let rest = line[at + 1..].trim_ascii_start();
                if depth == 1
                    && line[start..at] == *b"id"
                    && let Some(rest) = rest.strip_prefix(b":")
                {
                    return serde_json::Deserializer::from_slice(rest).into_iter().next()?.ok();
                }
            }
            (b'"', None) => string = Some(at + 1),
            (b'{' | b'[', None) => depth += 1,
            (b'}' | b']', None) => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_what_is_no_json_as_a_table() {
        for (line, id) in [
            (r#"{"jsonrpc":"2.0","id":2,"method":"x", nope}"#, Some(RequestId::Number(2))),
            (r#"{"params":{"id":7,"m":"\ud83d"},"id" : "q\"a"}"#, Some(RequestId::String("q\"a".into()))),
            (r#"{"params":"\"id\":3,{","id":4"#, Some(RequestId::Number(4))),
            (r#"{"params":{"id":7}"#, None),
            (r#"{"id":}"#, None),
            ("nope", None),
            ("]]]\"", None),
        ] {
            assert_eq!(id_in(line.as_bytes()), id, "{line}");
        }
    }

    #[test]
    fn what_a_line_is_answered_with() {
        let code = |line: &[u8]| match Frame::read(line) {
            Frame::Message(_) => "message".to_owned(),
            Frame::Nothing => "nothing".to_owned(),
            Frame::Bad(error, id) => format!("{} {}", error.code.0, id.is_some()),
        };
        for (line, answer) in [
            (b"" as &[u8], "nothing"),
            (b" \r\n", "nothing"),
            (b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", "message"),
            (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"caf\xe9\"}\n", "-32700 true"),
            (br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\ud83d"}}"#, "-32700 true"),
            (b"nope", "-32700 false"),
            (b"7", "-32600 false"),
            (br#"{"jsonrpc":"2.0","id":1,"method":3}"#, "-32600 true"),
            (br#"{"jsonrpc":"2.0","method":3}"#, "nothing"),
        ] {
            assert_eq!(code(line), answer, "{}", String::from_utf8_lossy(line));
        }
    }
}
