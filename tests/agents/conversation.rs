//! Messages: cold, warm, long, in mid-turn, urgent, after a reap, after a death.

use super::agent::{Agent, PATIENCE, known, says};
use crate::support::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A whole conversation, from the first dialog to the resume.
pub fn converse(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    let canaries = [
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_SESSION_ID", "x"),
        ("TMUX", "/x,1,0"),
        ("CANARY_SECRET", "s3cret"),
        ("PEER_LAUNCH", "foreign"),
        ("PEER_IDENTITY", "parrot-op"),
    ];
    for (name, value) in canaries {
        home.set(name, value);
    }

    // Cold: trust, bypass and hooks dialogs stand in the way.
    let first = agent.send("hello one");
    assert_eq!((&first["woke"], &first["mode"]), (&json!(true), &json!("fresh")), "{first}");
    let id = first["id"].as_str().unwrap();
    let tools = stub.asked(id)["tool_names"].to_string();
    let tool = if runtime == "codex" { "mcp__iapeer" } else { "send_to_peer" };
    assert!(tools.contains(tool), "the first message came before our tool: {tools}");
    agent.wait_idle();
    wait_until("the transcript to hold the envelope", PATIENCE, || agent.holds(id));

    // The session has nothing of the sender's.
    let pane = home.tmux(identity, &["display-message", "-p", "-t", &format!("={identity}:"), "#{pane_pid}"]).stdout;
    let environ = PathBuf::from(format!("/proc/{}/environ", pane.trim()));
    if let Ok(bytes) = fs::read(&environ) {
        let vars: Vec<String> = bytes.split(|b| *b == 0).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
        assert!(vars.contains(&format!("PEER_IDENTITY={identity}")), "{vars:?}");
        for (name, value) in canaries {
            assert!(!vars.contains(&format!("{name}={value}")), "{name} reached the session");
        }
        let foreign = ["CLAUDECODE=", "CLAUDE_CODE_", "TMUX=", "TMUX_PANE=", "CANARY_SECRET="];
        assert!(vars.iter().all(|var| foreign.iter().all(|name| !var.starts_with(name))), "{vars:?}");
    }

    // Warm.
    let second = agent.send("hello two");
    assert_eq!(second["woke"], false, "{second}");
    stub.asked(second["id"].as_str().unwrap());
    agent.wait_idle();

    // As long as a message may be, and of many lines.
    let lines: Vec<String> = (0..).map(|n| format!("line {n:04} of a long message")).take(600).collect();
    let body: String = lines.join("\n").chars().take(15_990).collect::<String>() + "\nTHE-END";
    let long = agent.send(&body);
    let whole = stub.whole(long["id"].as_str().unwrap());
    for part in ["line 0000 of a long message\\nline 0001", "line 0300 of a long", "THE-END"] {
        assert!(whole.contains(part), "{part} is missing");
    }
    agent.wait_idle();

    // The model calls our tool: a message like any other, from this peer.
    let ask = agent.send("SEND:op the tea is ready");
    wait_until("the agent's own message", PATIENCE, || home.bodies("op") == ["the tea is ready"]);
    let given = home.record("op")[0]["text"].as_str().unwrap().to_owned();
    assert!(given.contains(&format!("from-personality=\"ada\" from-runtime=\"{runtime}\"")), "{given}");
    wait_until("the model to be told so", PATIENCE, || {
        stub.requests().iter().any(|request| request["had_result"] == true)
    });
    stub.asked(ask["id"].as_str().unwrap());
    agent.wait_idle();

    // In mid-turn: neither lost, nor is the answer cut short.
    let slow = agent.send("SLOW:4 three");
    stub.asked(slow["id"].as_str().unwrap());
    let mid = agent.send("four, in mid-turn");
    stub.asked(mid["id"].as_str().unwrap());
    wait_until("the slow answer, whole", PATIENCE, || agent.has_answered("w6 w7"));
    agent.wait_idle();

    // Interrupt.
    let long = agent.send("SLOW:60 five");
    stub.asked(long["id"].as_str().unwrap());
    // The program asks its model before its screen says that a turn runs.
    if runtime != "claude" {
        wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(known(runtime).runs));
    }
    home.ok("iapeer", &["interrupt", "ada"]);
    wait_until("the interruption to show", PATIENCE, || home.screen(identity).contains(known(runtime).interrupted));

    // A person cancels a turn in the terminal. It is over, whether or not the program's hooks tell so.
    let long = agent.send("SLOW:60 six");
    stub.asked(long["id"].as_str().unwrap());
    // Of this answer, not of one before; and not at once: Qwen Code's word that a turn is over may be late by a second.
    let shown = if known(runtime).runs == "w1" { "w3" } else { known(runtime).runs };
    wait_until("the answer to begin", PATIENCE, || {
        home.screen(identity).rsplit("SLOW:60 six").next().is_some_and(|rest| rest.contains(shown))
    });
    let marks = || home.screen(identity).matches(known(runtime).interrupted).count();
    let before = marks();
    let presses = if matches!(runtime, "copilot" | "opencode") { 2 } else { 1 };
    for _ in 0..presses {
        home.tmux(identity, &["send-keys", "-t", &format!("={identity}:"), "Escape"]);
        // Two in one reading are another key.
        std::thread::sleep(Duration::from_millis(300));
    }
    wait_until("the cancellation to show", PATIENCE, || marks() > before);
    wait_until("the turn to be over", PATIENCE, || agent.state() == "idle");

    // Reaped when it was idle, it goes on with the same conversation. A turn that was interrupted is over.
    home.set("IAPEER_IDLE_SECS", "2");
    wait_until("the idle reap", PATIENCE, || {
        home.ok("iapeer-superviser", &["--only", identity]);
        home.state(identity, "idle-reaped")
    });
    home.unset("IAPEER_IDLE_SECS");
    let after = agent.send("after the reap");
    assert_eq!((&after["woke"], &after["mode"]), (&json!(true), &json!("resume")), "{after}");
    let last = after["id"].as_str().unwrap();
    stub.asked(last);
    agent.wait_idle();
    let both = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(id) && text.contains(last)
    };
    wait_until("one file to hold the first and the last message", PATIENCE, || agent.transcripts().iter().any(both));

    // The user's own files know nothing of us.
    for file in [
        ".codex/config.toml",
        ".codex/hooks.json",
        ".claude/settings.json",
        ".claude.json",
        ".gemini/settings.json",
        ".qwen/settings.json",
        ".copilot/config.json",
        ".copilot/mcp-config.json",
        ".config/opencode/opencode.json",
    ] {
        let text = fs::read_to_string(home.home().join(file)).unwrap_or_default();
        assert!(!text.contains("iapeer-turn") && !text.contains("iapeer-mcp"), "{file}: {text}");
    }
    home.ok("iapeer-reap", &[identity]);
}

/// What came into the program's own queue in mid-turn is ours until a turn takes it: where the program is killed before,
/// it is handed over again, marked; and what is urgent does not wait behind it.
pub fn loses_nothing_that_it_queued(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // What is typed is what is tried here.
    says(home, "ada", "delivery", "type");
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    agent.send("hello one");
    agent.wait_idle();
    let rounds = std::env::var("IAPEER_AGENTS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let slow = agent.send(&format!("SLOW:60 slow {round}"));
        stub.asked(slow["id"].as_str().unwrap());
        let queued = |n: u32| {
            let body = format!("round {round}, queued {n}");
            let sent = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", &body]).json();
            assert_eq!(sent["outcome"], "queued", "{sent}\n{}", home.screen(identity));
            let id = sent["id"].as_str().unwrap().to_owned();
            // A slow machine may need longer than the sender waits.
            wait_until("it to be known in the program's queue", PATIENCE, || {
                home.log("delivery.log").iter().any(|line| {
                    line.get("id") == Some(&id) && line.get("err").is_some_and(|why| why.contains("in its own queue"))
                })
            });
            id
        };
        let ids: Vec<String> = (0..3).map(queued).collect();
        assert_eq!(home.queue(identity), (0, 3, 0));
        let pane =
            home.tmux(identity, &["display-message", "-p", "-t", &format!("={identity}:"), "#{pane_pid}"]).stdout;
        let pane = nix::unistd::Pid::from_raw(pane.trim().parse().unwrap());
        nix::sys::signal::kill(pane, nix::sys::signal::Signal::SIGKILL).unwrap();
        wait_until("all of them to be delivered", 2 * PATIENCE, || {
            home.ok("iapeer-superviser", &["--only", identity]);
            home.queue(identity) == (0, 0, 0)
        });
        agent.wait_idle();
        let asked = stub.requests();
        for id in &ids {
            stub.asked(id);
            let times = asked.iter().filter(|request| {
                request["tools"] != 0
                    && request["allparts"].as_array().is_none_or(|parts| !parts.is_empty())
                    && request["user"].as_str().is_some_and(|user| user.contains(id))
            });
            let unmarked = times.filter(|request| !request["user"].as_str().unwrap().contains("redelivered"));
            assert!(unmarked.count() <= 1, "{id} came twice unmarked");
        }
    }
    if runtime == "opencode" {
        // An interrupted turn of its is the end of what it has queued: nothing typed is urgent there.
        home.ok("iapeer-reap", &[identity]);
        return;
    }
    // One in the program's queue, and another that is urgent.
    let slow = agent.send("SLOW:60 slow");
    stub.asked(slow["id"].as_str().unwrap());
    let shown = known(runtime).runs;
    wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(shown));
    let first = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", "in its queue"]).json();
    assert_eq!(first["outcome"], "queued", "{first}");
    let urgent = ["ada", "--from", "op", "--urgent", "--wait", "10", "--json", "-m", "now"];
    let urgent = home.run("iapeer-send", &urgent).json();
    assert_eq!(urgent["outcome"], "delivered", "{urgent}\n{}", home.screen(identity));
    stub.whole(urgent["id"].as_str().unwrap());
    wait_until("the other one too", PATIENCE, || home.queue(identity) == (0, 0, 0));
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}

/// A script asks and has the answer, which the model sends with the tool, naming the question.
pub fn asks(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    let ask = |question: &str| home.ok("iapeer-send", &["ada", "--ask", "-m", question, "--wait", "60"]);
    let asked = ask("2+2?");
    assert_eq!(asked.stdout, "4\n", "{asked}");
    assert!(asked.stderr.starts_with(&format!("delivered to {identity} (woke: fresh")), "{asked}");
    // Once more, of a session that is up.
    agent.wait_idle();
    let asked = ask("20+3?");
    assert_eq!(asked.stdout, "23\n", "{asked}");
    home.at_rest("person-me");
    // Each has been read, and answers its own question.
    assert!(home.ok("iapeer", &["inbox", "--json"]).stdout.is_empty());
    let letters = home.ok("iapeer", &["inbox", "--all", "--json"]).json_lines();
    let bodies: Vec<&Value> = letters.iter().map(|letter| &letter["body"]).collect();
    assert_eq!(bodies, [&json!("4"), &json!("23")]);
    for letter in &letters {
        let question = letter["re"].as_str().unwrap();
        assert_eq!(letter["from"], identity.as_str());
        stub.asked(question);
    }
    assert_ne!(letters[0]["re"], letters[1]["re"]);
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}
