//! A stub of Telegram's Bot API, and the person at the other end of it.

use super::{Output, PATIENCE, Running, TestHome, wait_for, wait_until};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

/// The token of its bot.
pub const TOKEN: &str = "7000001:AAstub-token_for_tests_of_iapeer";
/// The chat of the person.
pub const CHAT: i64 = 4242;

/// The stub, and who talks to it.
pub struct Telegram {
    _stub: Running,
    port: u16,
}

impl Telegram {
    /// Starts it; programs of `home` find it.
    pub fn start(home: &TestHome) -> Telegram {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/telegram_stub.py");
        let mut command = home.cmd("python3");
        command.arg(script);
        let stub = home.start(command, None);
        let port = wait_for("the stub's port", PATIENCE, || stub.stdout().lines().next()?.parse().ok());
        home.set("IAPEER_TELEGRAM_API", format!("http://127.0.0.1:{port}"));
        fs::write(home.dir().join("token"), format!("{TOKEN}\n")).unwrap();
        let telegram = Telegram { _stub: stub, port };
        telegram.order(json!({ "token": TOKEN }));
        telegram
    }

    /// What it answers to `request`.
    pub fn ask(&self, request: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(stream, "{request} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// Gives it an order.
    pub fn order(&self, order: Value) {
        self.ask("POST /control", &order.to_string());
    }

    /// What it was told.
    pub fn state(&self) -> Value {
        self.ask("GET /control", "")
    }

    /// The arguments of the calls of `method` that were carried out, and the number of the message that each made.
    pub fn calls(&self, method: &str) -> Vec<Value> {
        let state = self.state();
        let calls = state["calls"].as_array().unwrap().iter();
        let done = calls.filter(|call| call["method"] == method && call["ok"] == true);
        done.map(|call| {
            let mut arguments = call["arguments"].clone();
            arguments["number"] = call["result"]["message_id"].clone();
            arguments
        })
        .collect()
    }

    /// The texts that were sent into the chat.
    pub fn texts(&self) -> Vec<String> {
        let text = |call: &Value| call["text"].as_str().unwrap().to_owned();
        self.calls("sendMessage").iter().map(text).collect()
    }

    /// The person writes.
    pub fn write(&self, text: &str) {
        self.push(json!({ "text": text }));
    }

    /// The person sends `more`.
    pub fn push(&self, more: Value) {
        self.order(json!({ "push": [update(CHAT, more)] }));
    }

    /// Has calls of `method` fail.
    pub fn fail(&self, method: &str, fates: Value) {
        self.order(json!({ "fail": { method: fates } }));
    }
}

/// An update with a message in the private chat `chat`.
pub fn update(chat: i64, more: Value) -> Value {
    let mut message = json!({
        "message_id": 500, "date": 1_795_000_000, "chat": { "id": chat, "type": "private" }, "from": { "id": chat },
    });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "message": message })
}

/// Starts to connect `me`; the code that has to be sent.
pub fn connecting(home: &TestHome, more: &[&str]) -> (Running, String) {
    let file = home.dir().join("token");
    let words = ["connect", "telegram", "me", "--token-file", file.to_str().unwrap()];
    let connect = home.spawn("iapeer", &[&words, more].concat());
    let code = code(&connect);
    (connect, code)
}

/// The code that has to be sent for what connects.
pub fn code(connect: &Running) -> String {
    wait_for("the code", PATIENCE, || {
        let said = connect.stderr();
        let line = said.lines().find(|line| line.contains("@Stub_bot"))?.to_owned();
        Some(line.rsplit(' ').next()?.trim().to_owned())
    })
}

/// Connects `me` by the code.
pub fn connect(home: &TestHome, telegram: &Telegram, more: &[&str]) -> Output {
    let (connect, code) = connecting(home, more);
    telegram.write(&code);
    let done = connect.wait(PATIENCE);
    assert_eq!(done.code, 0, "{done}");
    done
}

/// Runs the bridge where a test can kill it.
pub fn bridge(home: &TestHome) -> Running {
    let mut command = home.cmd("iapeer-telegram");
    command.arg("run").env("PEER_IDENTITY", "telegram-me");
    home.start(command, None)
}

/// Ends the session of the bridge deliberately.
pub fn without_session(home: &TestHome) {
    home.ok("iapeer-reap", &["telegram-me"]);
    wait_until("the session to end", PATIENCE, || home.session_json("telegram-me").is_none());
}
