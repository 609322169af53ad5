//! iapeer-mcp: the protocol, and that a call is a message like any other.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use support::{TestHome, bin, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A client that talks to the server line by line. Everything on its stdout must be protocol.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(home: &TestHome, identity: &str) -> Client {
        Client::run(home.cmd("iapeer-mcp"), identity)
    }

    fn run(mut command: Command, identity: &str) -> Client {
        let (runtime, name) = identity.split_once('-').unwrap();
        command.env("PEER_IDENTITY", identity).env("PEER_PERSONALITY", name).env("PEER_RUNTIME", runtime);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Client { input: child.stdin.take(), child, output }
    }

    fn send(&mut self, message: Value) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(id)), "{answer}");
        answer
    }

    fn initialize(&mut self) -> Value {
        let client = json!({"name": "test", "version": "1"});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let answer = self.ask(1, "initialize", params);
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer
    }

    /// Closes its input; it must end by itself, with 0, and have said nothing more.
    fn end(mut self) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_line(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn discover_before_initialize_is_answered() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    let mut client = Client::start(&home, "parrot-alice");
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}
    });
    let answer = client.ask(7, "server/discover", json!({"_meta": meta}));
    assert!(answer["result"]["supportedVersions"].is_array(), "{answer}");
    // A client that leaves the metadata out gets an answer too, and may go on.
    assert!(client.ask(8, "server/discover", json!({}))["error"].is_object());
    let answer = client.initialize();
    assert_eq!(answer["result"]["serverInfo"]["name"], "iapeer");
    client.end();
}

/// The first prompt of a session whose program connects in the background is recorded at once, and held until the
/// program has fetched the tool; later ones pass.
#[test]
fn a_prompt_waits_until_the_tool_was_fetched() {
    let home = TestHome::new();
    home.set("PEER_IDENTITY", "claude-alice").set("PEER_LAUNCH", "launch-1");
    let (turn, tool) = (home.state_dir().join("claude-alice.turn"), home.state_dir().join("claude-alice.tool"));
    let prompt = home.spawn("iapeer-turn", &["prompt"]);
    wait_until("the prompt to be recorded", SOON, || turn.exists());
    let mut client = Client::start(&home, "claude-alice");
    client.initialize();
    assert!(!tool.exists());
    client.ask(2, "tools/list", json!({}));
    client.end();
    assert_eq!(fs::read_to_string(&tool).unwrap(), "launch-1\n");
    assert_eq!(prompt.wait(SOON).code, 0);
    let held = fs::metadata(&tool).unwrap().modified().unwrap().elapsed().unwrap();
    assert!(held >= Duration::from_millis(800), "it went on {held:?} after the tool was fetched");
    assert!(home.log("lifecycle.log").iter().all(|line| line["ev"] != "no-tool"));
    let later = Instant::now();
    home.ok("iapeer-turn", &["prompt"]);
    // Another launch's tool is none; what never comes is waited for once.
    let first = later.elapsed();
    home.set("PEER_LAUNCH", "launch-2");
    home.ok("iapeer-turn", &["prompt"]);
    assert!(later.elapsed() - first >= Duration::from_secs(5));
    assert_eq!(home.log("lifecycle.log").iter().filter(|line| line["ev"] == "no-tool").count(), 1);
    home.ok("iapeer-turn", &["prompt"]);
    assert_eq!(home.log("lifecycle.log").iter().filter(|line| line["ev"] == "no-tool").count(), 1);
}

#[test]
fn the_tool_names_the_peers_but_not_oneself() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.ok("iapeer", &["create", "bob", "--runtime", "parrot", "--description", "keeps the books"]);
    let mut client = Client::start(&home, "parrot-alice");
    client.initialize();
    let answer = client.ask(2, "tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0]["name"], "send_to_peer");
    let description = tools[0]["description"].as_str().unwrap();
    assert!(description.contains("\n- bob — keeps the books"), "{description}");
    assert!(!description.contains("alice"), "{description}");
    assert_eq!(tools[0]["inputSchema"]["required"], json!(["personality", "message"]));
    client.end();
}

#[test]
fn a_call_is_a_message_from_the_session_it_runs_in() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[]);
    let mut client = Client::start(&home, "parrot-alice");
    client.initialize();
    let arguments = json!({"personality": "bob", "message": "hello <b> & \"c\"", "topic": "tea"});
    let answer = client.ask(3, "tools/call", json!({"name": "send_to_peer", "arguments": arguments}));
    assert!(text(&answer).starts_with("delivered to parrot-bob (woke: fresh, first-wake) "), "{answer}");
    assert_ne!(answer["result"]["isError"], true);
    assert_eq!(home.bodies("bob"), ["hello <b> & \"c\""]);
    let given = home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    assert!(given.contains("from-personality=\"alice\"") && given.contains("topic=\"tea\""), "{given}");
    client.end();
}

#[test]
fn a_refusal_is_the_tools_answer_and_keeps_nothing() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[]);
    home.ok("iapeer", &["stop", "bob"]);
    let long = "x".repeat(16_001);
    let mut client = Client::start(&home, "parrot-alice");
    client.initialize();
    let cases = [
        (json!({"personality": "nobody", "message": "x"}), "no peer named"),
        (json!({"personality": "bob", "message": "x"}), "is stopped"),
        (json!({"personality": "alice", "message": "x"}), "cannot send to itself"),
        (json!({"personality": "bob", "message": long}), "16000"),
        (json!({"personality": "bob"}), "missing field `message`"),
        (json!({"personality": "bob", "message": "x", "urgnt": true}), "unknown field"),
    ];
    for (at, (arguments, wanted)) in cases.into_iter().enumerate() {
        let params = json!({"name": "send_to_peer", "arguments": arguments});
        let answer = client.ask(10 + at as u64, "tools/call", params);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert!(text(&answer).starts_with("refused: ") && text(&answer).contains(wanted), "{answer}");
    }
    assert!(client.ask(30, "tools/call", json!({"name": "other"}))["error"].is_object());
    assert_eq!(home.ok("iapeer-drain", &["--list"]).stdout, "");
    client.end();
}

#[test]
fn an_agent_is_told_that_nothing_could_be_started() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[]);
    // Beside this one there is no drain.
    let alone = home.dir().join("iapeer-mcp");
    fs::copy(bin("iapeer-mcp"), &alone).unwrap();
    let mut client = Client::run(home.cmd(alone.to_str().unwrap()), "parrot-alice");
    client.initialize();
    let params = json!({"name": "send_to_peer", "arguments": {"personality": "bob", "message": "x"}});
    let answer = client.ask(3, "tools/call", params);
    let drain = home.dir().canonicalize().unwrap().join("iapeer-drain");
    let why = format!("accepted, but nothing could be started: {} is missing: install iapeer again", drain.display());
    let wanted = format!("queued for parrot-bob (1 waiting: {why}; the next tick delivers) ");
    assert!(text(&answer).starts_with(&wanted), "{answer}");
    assert_ne!(answer["result"]["isError"], true, "it is accepted: {answer}");
    assert_eq!(home.queue("parrot-bob"), (1, 0, 0));
    client.end();
}

#[test]
fn its_command_line_is_like_the_others() {
    let home = TestHome::new();
    assert!(bin("iapeer-mcp").exists());
    assert!(home.ok("iapeer-mcp", &["--help"]).stdout.contains("send_to_peer"));
    assert_eq!(home.run("iapeer-mcp", &["--nonsense"]).code, 64);
}
