//! What a program says at its end: exit codes, answers, and that a hook holds up no agent.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::base::{EpochMs, Intelligence};
use iapeer::message::envelope::{Envelope, Instruction};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{TestHome, wait_until};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn an_accepted_message_is_no_failure_where_its_result_can_not_be_printed() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no /dev/full here");
        return;
    }
    let home = TestHome::new();
    home.parrot("al", &[]);
    home.parrot("bob", &[]);
    let send = |more: &str, to: &str| {
        let script = format!("exec iapeer-send {to} --from al {more} -m x >/dev/full");
        home.run("sh", &["-c", &script])
    };
    for more in ["", "--json", "--no-wait", "--wait 0"] {
        let sent = send(more, "bob");
        assert_eq!(sent.code, 0, "{more}: {sent}");
        assert_eq!(sent.stderr.lines().count(), 1, "{more}: {sent}");
        assert!(sent.stderr.contains("cannot write to stdout") && sent.stderr.contains("parrot-bob"), "{more}: {sent}");
    }
    wait_until("each of them once", SOON, || home.bodies("bob").len() == 4 && home.queue("parrot-bob") == (0, 0, 0));
    home.at_rest("parrot-bob");
    // What the outcome asks for stays; so does a refusal, of which nothing is kept.
    home.ok("iapeer", &["stop", "bob"]);
    assert_eq!(send("--json", "bob").code, 69);
    assert_eq!(send("--json", "nobody").code, 67);
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0));
    home.ok("iapeer", &["start", "bob"]);
    assert_eq!(send("--no-wait --require delivered", "bob").code, 75);
}

#[test]
fn a_plan_with_a_torn_or_foreign_line_is_refused_before_anything_is_done() {
    let home = TestHome::new();
    for name in ["al", "bob"] {
        home.parrot(name, &[]);
        home.ok("iapeer-wake", &[name]);
    }
    home.set("IAPEER_IDLE_SECS", "0.001");
    let plan = home.ok("iapeer-superviser", &["--dry-run", "--json"]).stdout;
    assert!(plan.contains("parrot-al") && plan.contains("parrot-bob") && plan.contains("tick"), "{plan}");
    let path = home.dir().join("plan");
    let first = plan.lines().next().unwrap();
    for (bad, what) in [
        (plan[..plan.len() - 4].to_owned(), "cut short"),
        (format!("{plan}garbage\n"), "no JSON"),
        (format!("{first}\n{}\n{plan}", &first[..first.len() / 2]), "a torn line in between"),
        (format!("{plan}{{\"identity\":\"parrot-al\"}}\n"), "another object"),
        (format!("{plan}{}\n", first.replacen("\"action\":\"", "\"action\":\"later-", 1)), "a later version's word"),
        (format!("{plan}[]\n"), "a list"),
        (format!("{plan}\0\0\0\0"), "NULs"),
    ] {
        fs::write(&path, &bad).unwrap();
        let refused = home.run("iapeer-reap", &["--plan", path.to_str().unwrap()]);
        assert_eq!((refused.code, refused.stdout.as_str()), (65, ""), "{what}: {refused}");
        assert!(refused.stderr.contains("line ") && refused.stderr.lines().count() == 1, "{what}: {refused}");
        let piped = home.run_with("iapeer-reap", &["--plan", "-"], bad.as_bytes());
        assert_eq!(piped.code, 65, "{what}: {piped}");
        for identity in ["parrot-al", "parrot-bob"] {
            assert!(home.server_pid(identity).is_some(), "{what}: {identity} lives");
        }
    }
    fs::write(&path, format!("\n{plan}\n")).unwrap();
    assert_eq!(home.run("iapeer-reap", &["--plan", path.to_str().unwrap()]).code, 0);
}

/// Starts a hook, writes `parts` to it and leaves its stdin open.
fn hook(home: &TestHome, event: &str, parts: &[&[u8]]) -> (i32, Duration) {
    let mut command = home.cmd("iapeer-turn");
    command.arg(event).env("PEER_IDENTITY", "parrot-bob").env("PEER_LAUNCH", "x");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let mut input = child.stdin.take().unwrap();
    parts.iter().for_each(|part| input.write_all(part).unwrap());
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap();
        }
        if started.elapsed() > SOON {
            child.kill().unwrap();
            child.wait().unwrap();
            break -1;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    drop(input);
    (code, started.elapsed())
}

#[test]
fn a_hook_whose_stdin_stays_open_ends_with_its_json() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    let id = "01M7YEQDPSFQ470K9N062NKM85";
    let envelope = Envelope {
        from: "parrot-al".parse().unwrap(),
        intelligence: Intelligence::Artificial,
        ts: EpochMs(0).local(),
        topic: None,
        id: Some(id.parse().unwrap()),
        re: None,
        redelivered: None,
        attachments: Vec::new(),
        body: "}x".into(),
    };
    let prompt = json!({"session_id": "s\"}{", "prompt": envelope.encode(Instruction::Send)});
    let text = prompt.to_string();
    let (front, back) = text.split_at(text.len() / 2);
    for parts in [&[text.as_bytes()][..], &[front.as_bytes(), back.as_bytes()], &[text.as_bytes(), b"\n"]] {
        let _ = fs::remove_file(home.state_dir().join("parrot-bob.turn"));
        let (code, took) = hook(&home, "prompt", parts);
        // The hook of a prompt may wait for the tool, for five seconds at most.
        assert!(code == 0 && took < Duration::from_secs(15), "{code} after {took:?}");
        let turn: Value = serde_json::from_slice(&fs::read(home.state_dir().join("parrot-bob.turn")).unwrap()).unwrap();
        assert_eq!((&turn["id"], &turn["session"]), (&json!(id), &json!("s\"}{")));
    }
    for event in ["start", "stop", "end"] {
        let (code, took) = hook(&home, event, &[b"{}"]);
        // A hook that waits for more waits for five seconds.
        assert!(code == 0 && took < Duration::from_secs(5), "{event}: {code} after {took:?}");
    }
    // An agent that never finishes its value does not wait for ever either.
    for parts in [&[][..], &[b"{\"prompt\": \"x" as &[u8]], &[b"no json"]] {
        assert_eq!(hook(&home, "stop", parts).0, 0);
    }
}

#[test]
fn a_prompt_of_many_megabytes_is_read_to_its_end() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    let text = json!({"prompt": "x".repeat(20 << 20)}).to_string();
    assert_eq!(hook(&home, "prompt", &[text.as_bytes()]).0, 0);
}

#[test]
fn a_frame_that_is_no_json_is_answered_and_the_next_one_is_served() {
    let home = TestHome::new();
    home.parrot("al", &[]);
    home.parrot("bob", &[]);
    let mut command = home.cmd("iapeer-mcp");
    command.env("PEER_IDENTITY", "parrot-al").env("PEER_PERSONALITY", "al").env("PEER_RUNTIME", "parrot");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut ask = |line: &[u8]| -> Value {
        input.write_all(line).unwrap();
        input.write_all(b"\n").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error} in {answer:?}"))
    };
    let call = |id: u32, body: &[u8]| {
        let front = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"send_to_peer","arguments":{{"personality":"bob","message":""#
        );
        [front.as_bytes(), body, br#""}}}"#].concat()
    };
    // Before the handshake too.
    assert_eq!(ask(b"nonsense")["error"]["code"], -32700);
    let init = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}});
    assert_eq!(ask(init.to_string().as_bytes())["id"], 1);
    for (id, line) in [
        (2, call(2, b"cut \\ud83d")),
        (3, call(3, b"caf\xe9")),
        (4, call(4, b"a\tb")),
        (5, br#"{"jsonrpc":"2.0","id":5,"method":"tools/call", nope}"#.to_vec()),
    ] {
        let answer = ask(&line);
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32700), &json!(id)), "{answer}");
    }
    let shapeless = ask(br#"{"jsonrpc":"2.0","id":6,"method":7}"#);
    assert_eq!((&shapeless["error"]["code"], &shapeless["id"]), (&json!(-32600), &json!(6)), "{shapeless}");
    let long = [b"{\"x\":\"" as &[u8], &vec![b'x'; 17 << 20], b"\"}"].concat();
    assert_eq!(ask(&long)["error"]["code"], -32700);
    let served = ask(&call(7, b"whole \\ud83d\\ude00"));
    assert!(served["result"]["content"][0]["text"].as_str().unwrap().starts_with("delivered"), "{served}");
    assert_eq!(home.bodies("bob"), ["whole 😀"]);
    drop(input);
    assert!(child.wait().unwrap().success());
}
