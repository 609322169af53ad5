//! The Bot API over HTTPS. The token is part of each request's URL and is nowhere else: no error message contains it.

use crate::base::exit::{Exit, Failure};
use crate::base::settings::TELEGRAM_API;
use crate::people::bots::Token;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;
use ureq::Agent;
use ureq::http::Response;

/// The address of the API, unless [`TELEGRAM_API`] names another one.
const API: &str = "https://api.telegram.org";
/// How long a call may take, besides the time for which it waits for updates.
const LIMIT: Duration = Duration::from_secs(30);
/// How long transferring a file may take.
const FILE_LIMIT: Duration = Duration::from_secs(600);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 16 << 20;
/// Largest file that Telegram takes from a bot, in bytes.
pub(crate) const UPLOAD_MAX: u64 = 50 << 20;
/// Largest file that Telegram gives to a bot, in bytes.
pub(crate) const DOWNLOAD_MAX: u64 = 20 << 20;

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// Telegram does not accept the token, or no longer.
    Token,
    /// Too many calls: Telegram asks to wait this long.
    Busy(Duration),
    /// A temporary failure: no network, or a fault of the service.
    Passing(String),
    /// Telegram refuses the call: HTTP status and reason.
    Refused(u16, String),
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiError::Token => f.write_str("Telegram does not accept the token"),
            ApiError::Busy(_) => f.write_str("Telegram asks to wait"),
            ApiError::Passing(why) => f.write_str(why),
            ApiError::Refused(status, why) => write!(f, "Telegram refuses ({status}): {why}"),
        }
    }
}

impl ApiError {
    /// The failure to return where the caller tries again later.
    pub(crate) fn later(&self) -> Failure {
        Failure::new(Exit::TryAgain, self.to_string())
    }
}

/// Every answer of the API.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    retry_after: Option<u64>,
}

/// The API, for one bot.
pub(crate) struct Api {
    agent: Agent,
    base: String,
    token: Token,
}

impl Api {
    /// The API for the bot of `token`.
    pub(crate) fn new(token: Token) -> Result<Api, Failure> {
        let base = std::env::var(TELEGRAM_API).ok().filter(|base| !base.trim().is_empty());
        let base = base.as_deref().map_or(API, str::trim).trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            let why = format!("{TELEGRAM_API} wants an address as https://HOST[:PORT]; unset it for Telegram's own");
            return Err(Failure::new(Exit::Config, why));
        }
        // A redirection would carry the token to another host.
        let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Ok(Api { agent: config.into(), base, token })
    }

    /// Whether this API uses `token`.
    pub(crate) fn is_of(&self, token: &Token) -> bool {
        self.token == *token
    }

    /// Calls `method` and returns the answer's `result`.
    pub(crate) fn call(&self, method: &str, arguments: &Value) -> Result<Value, ApiError> {
        self.post(method, "application/json", arguments.to_string().as_bytes(), LIMIT)
    }

    /// Waits for updates from `offset` on, `wait` at most.
    pub(crate) fn updates(&self, offset: i64, wait: Duration) -> Result<Vec<Value>, ApiError> {
        let arguments = json!({
            "offset": offset, "timeout": wait.as_secs(), "allowed_updates": ["message", "callback_query"],
        });
        let body = arguments.to_string();
        let result = self.post("getUpdates", "application/json", body.as_bytes(), wait + LIMIT)?;
        match result {
            Value::Array(updates) => Ok(updates),
            _ => Err(ApiError::Passing("Telegram answers with no list of updates".into())),
        }
    }

    /// Calls `method` with `fields` and the file `name` as its field `field`.
    pub(crate) fn upload(
        &self,
        method: &str,
        fields: &[(&str, String)],
        field: &str,
        name: &str,
        content: &[u8],
    ) -> Result<Value, ApiError> {
        let mark = boundary(content);
        let mut body = Vec::with_capacity(content.len() + 1024);
        for (key, value) in fields {
            let part = format!("--{mark}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let name: String =
            name.chars().map(|c| if c == '"' || c == '\\' || c.is_control() { '_' } else { c }).collect();
        let head = format!(
            "--{mark}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{mark}--\r\n").as_bytes());
        self.post(method, &format!("multipart/form-data; boundary={mark}"), &body, FILE_LIMIT)
    }

    /// The content of a file that somebody sent.
    pub(crate) fn file(&self, file_id: &str) -> Result<Vec<u8>, ApiError> {
        let told = self.call("getFile", &json!({ "file_id": file_id }))?;
        let path = told["file_path"].as_str().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        if path.is_empty() || !path.chars().all(is_plain) || path.split('/').any(|part| part == "..") {
            return Err(ApiError::Refused(404, "it names no file".into()));
        }
        let url = format!("{}/file/bot{}/{path}", self.base, self.token.secret());
        let answer = self.agent.get(&url).config().timeout_global(Some(FILE_LIMIT)).build().call();
        let mut answer = answer.map_err(|error| self.passing(&error))?;
        match answer.status().as_u16() {
            200 => self.read(&mut answer, DOWNLOAD_MAX),
            status @ (429 | 500..) => Err(ApiError::Passing(format!("Telegram's files answer {status}"))),
            status => Err(ApiError::Refused(status, "it does not give the file".into())),
        }
    }

    fn post(&self, method: &str, kind: &str, body: &[u8], limit: Duration) -> Result<Value, ApiError> {
        let url = format!("{}/bot{}/{method}", self.base, self.token.secret());
        let request = self.agent.post(&url).config().timeout_global(Some(limit)).build();
        let sent = request.header("content-type", kind).send(body);
        let mut answer = sent.map_err(|error| self.passing(&error))?;
        let status = answer.status().as_u16();
        let bytes = self.read(&mut answer, ANSWER_MAX)?;
        let told: Option<Answer> =
            serde_json::from_slice(&bytes).or_else(|_| serde_json::from_slice(&whole_characters(&bytes))).ok();
        let what = |told: &Option<Answer>| told.as_ref().map(|told| told.description.clone()).unwrap_or_default();
        match (status, told) {
            (200, Some(Answer { ok: true, result, .. })) => Ok(result),
            // 404: the token in the URL does not have the form of one.
            (401 | 404, _) => Err(ApiError::Token),
            (429, told) => {
                let secs = told.and_then(|told| told.parameters.retry_after).unwrap_or(1);
                Err(ApiError::Busy(Duration::from_secs(secs.clamp(1, 3600))))
            }
            (409, told) => Err(ApiError::Passing(format!("another program speaks for this bot: {}", what(&told)))),
            (400..=499, told @ Some(_)) => Err(ApiError::Refused(status, what(&told))),
            (status, told) => Err(ApiError::Passing(format!("Telegram answers {status} {}", what(&told)))),
        }
    }

    fn read(&self, answer: &mut Response<ureq::Body>, limit: u64) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::new();
        let read = answer.body_mut().as_reader().take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error: io::Error| ApiError::Passing(self.without_token(&error.to_string())))?;
        if bytes.len() as u64 > limit {
            return Err(ApiError::Refused(413, "it is too large".into()));
        }
        Ok(bytes)
    }

    fn passing(&self, error: &ureq::Error) -> ApiError {
        ApiError::Passing(format!("Telegram can't be reached: {}", self.without_token(&error.to_string())))
    }

    fn without_token(&self, text: &str) -> String {
        text.replace(self.token.secret(), "TOKEN")
    }
}

/// Replaces each unpaired surrogate in JSON (`\ud83d` alone) by U+FFFD. A Rust string can't contain one, and one message
/// with a surrogate must not block all updates that come with it and after it.
fn whole_characters(json: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let escape = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let (mut whole, mut at) = (Vec::with_capacity(json.len()), 0);
    while at < json.len() {
        let taken = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            // An escaped backslash begins no escape.
            _ if json[at] == b'\\' => 2,
            _ => 1,
        };
        let end = (at + taken).min(json.len());
        whole.extend_from_slice(&json[at..end]);
        at = end;
    }
    whole
}

/// A boundary for a multipart body that `content` does not contain.
fn boundary(content: &[u8]) -> String {
    let mut mark = String::from("iapeer-part");
    while content.windows(mark.len()).any(|window| window == mark.as_bytes()) {
        mark.push_str(&format!("-{}", mark.len()));
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_stands_in_no_content() {
        assert_eq!(boundary(b"x"), "iapeer-part");
        let tricky = b"--iapeer-part--iapeer-part-11";
        assert!(!tricky.windows(boundary(tricky).len()).any(|window| window == boundary(tricky).as_bytes()));
    }

    #[test]
    fn half_a_character_is_replaced_and_nothing_else_is() {
        for (given, whole) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""a \ud83d b""#, r#""a \ufffd b""#),
            (r#""\ude00\ud83d\ude00\ud83d""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud83d \n""#, r#""\\ud83d \n""#),
            (r#""\ud83"#, r#""\ud83"#),
            ("\\", "\\"),
        ] {
            assert_eq!(String::from_utf8(whole_characters(given.as_bytes())).unwrap(), whole);
        }
    }
}
