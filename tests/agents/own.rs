//! What one program alone has, and the figures.

use super::agent::{Agent, PATIENCE, repair, says};
use crate::support::{self, wait_until};
use serde_json::json;
use std::fs;

/// Whether files from outside the folder are imported is answered as the profile says, and said in the log.
pub fn claude_imports_what_the_profile_allows() {
    let Some(agent) = Agent::new("claude") else { return };
    let Agent { home, stub, .. } = &agent;
    let outside = home.home().join("outside.md");
    fs::write(&outside, "Be kind to parrots.\n").unwrap();
    for (name, word) in [("ada", None), ("eve", Some("allow")), ("joe", Some("ask"))] {
        if name != "ada" {
            agent.create(name);
        }
        if let Some(word) = word {
            says(home, name, "imports", word);
        }
        fs::write(home.cwd(name).join("CLAUDE.md"), format!("@{}\n", outside.display())).unwrap();
        let sent = home.run("iapeer-send", &[name, "--from", "op", "--json", "-m", "hello"]).json();
        let identity = format!("claude-{name}");
        if word == Some("ask") {
            assert_eq!(sent["outcome"], "queued", "{sent}");
            assert!(sent["reason"].as_str().unwrap().contains("say \"imports\""), "{sent}");
            continue;
        }
        assert_eq!(sent["outcome"], "delivered", "{sent}\n{}", home.screen(&identity));
        stub.asked(sent["id"].as_str().unwrap());
        let imported = stub.whole(sent["id"].as_str().unwrap()).contains("Be kind to parrots.");
        assert_eq!(imported, word == Some("allow"), "{name}");
        let log = home.log("lifecycle.log");
        let mine = log.iter().filter(|line| line.get("identity").is_some_and(|found| *found == identity));
        let wake = mine.clone().find(|line| line["ev"] == "wake").unwrap();
        assert_eq!(wake["dialogs"], format!("imports={}", word.unwrap_or("deny")));
        let answer = mine.clone().find(|line| line["ev"] == "dialog" && line["dialog"] == "imports").unwrap();
        assert!(answer["answer"].contains("external imports"), "{answer:?}");
        home.ok("iapeer-reap", &[&identity]);
    }
}

/// However long its servers take to start, the model is never asked without our tool.
pub fn claude_waits_for_a_slow_tool() {
    let Some(agent) = Agent::new("claude") else { return };
    let slow = agent.home.dir().join("slow-mcp");
    let script = format!("#!/bin/sh\nsleep 1.5\nexec {}\n", support::bin("iapeer-mcp").display());
    fs::write(&slow, script).unwrap();
    fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    repair(&agent, &json!({"files": {"mcp": {"mcpServers": {"iapeer": {"command": slow}}}}}));
    let first = agent.send("hello one");
    let tools = agent.stub.asked(first["id"].as_str().unwrap())["tool_names"].to_string();
    assert!(tools.contains("mcp__iapeer"), "{tools}");
    agent.wait_idle();
    agent.home.ok("iapeer-reap", &[&agent.identity]);
}

/// Where an operator wants the user's own hooks reviewed, the dialog is answered, without trusting them.
pub fn codex_hooks_dialog_is_answered() {
    let Some(agent) = Agent::new("codex") else { return };
    says(&agent.home, "ada", "delivery", "type");
    repair(&agent, &json!({"groups": {"hooks": [], "trust": []}, "turns": false}));
    let first = agent.send("hello one");
    agent.stub.asked(first["id"].as_str().unwrap());
    let seen = fs::read(agent.home.root().join(format!("logs/lifecycle/{}.log", agent.identity))).unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("Hooks need review"), "the dialog was not in the way");
    let config = fs::read_to_string(agent.home.home().join(".codex/config.toml")).unwrap();
    assert!(!config.contains("trusted_hash"), "{config}");
    agent.home.ok("iapeer-reap", &[&agent.identity]);
}

/// A program that iapeer does not know, by a manifest that was written by docs/runtimes.md alone.
pub fn cline_is_added_by_a_manifest() {
    let Some(agent) = Agent::new("cline") else { return };
    let Agent { home, stub, identity, .. } = &agent;
    let first = agent.send("hello one");
    assert_eq!((&first["woke"], &first["mode"]), (&json!(true), &json!("fresh")), "{first}");
    stub.asked(first["id"].as_str().unwrap());
    agent.wait_idle();
    let second = agent.send("hello two\n\nof three lines");
    assert_eq!(second["woke"], false, "{second}");
    let whole = stub.whole(second["id"].as_str().unwrap());
    // A terminal gets the ends of pasted lines as CR, and Cline leaves them so.
    assert!(whole.contains("hello two\\r\\rof three lines"), "{}", home.screen(identity));
    agent.wait_idle();
    let body: String = (0..600).map(|n| format!("line {n:04} of a long message\n")).collect();
    let long = agent.send(&(body.chars().take(15_990).collect::<String>() + "THE-END"));
    assert!(stub.whole(long["id"].as_str().unwrap()).contains("THE-END"));
    agent.wait_idle();
    // In mid-turn: neither lost, nor is the answer cut short.
    let slow = agent.send("SLOW:4 three");
    stub.asked(slow["id"].as_str().unwrap());
    let mid = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "20", "--json", "-m", "four"]).json();
    stub.asked(mid["id"].as_str().unwrap());
    wait_until("the slow answer, whole", PATIENCE, || home.screen(identity).contains("w6 w7"));
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}

/// `make bench-agents`: milliseconds from accept to evidence, and what the program's processes have in memory.
pub fn figures() {
    if std::env::var_os("IAPEER_BENCH_AGENTS").is_none() {
        return;
    }
    for (runtime, ways) in [("claude", &["typed"][..]), ("codex", &["app-server", "typed"])] {
        let mut measured = Vec::new();
        for way in ways {
            let Some(agent) = Agent::new(runtime) else { return };
            if *way == "typed" {
                says(&agent.home, "ada", "delivery", "type");
            }
            // The first wake answers the dialogs: it is no figure.
            agent.send("warm the caches");
            agent.wait_idle();
            // Alone: what two sessions share would count half.
            println!("{runtime:7} {way:10} memory of its processes: {} MB", agent.memory_mb());
            agent.home.ok("iapeer-reap", &[&agent.identity, "--no-park"]);
            measured.push((way, agent, Vec::new(), Vec::new()));
        }
        for (_, agent, ..) in &measured {
            agent.send("once more");
        }
        // In turns, so that a load on the machine is one for all.
        for round in 0..5 {
            for (_, agent, cold, warm) in &mut measured {
                agent.wait_idle();
                agent.home.ok("iapeer-reap", &[&agent.identity, "--no-park"]);
                cold.push(agent.send(&format!("cold {round}"))["ms"].as_u64().unwrap());
                for turn in 0..3 {
                    agent.wait_idle();
                    warm.push(agent.send(&format!("warm {round} {turn}"))["ms"].as_u64().unwrap());
                }
            }
        }
        for (way, agent, mut cold, mut warm) in measured {
            cold.sort_unstable();
            warm.sort_unstable();
            let show = |what: &str, all: &[u64], limit: u64| {
                println!("{runtime:7} {way:10} {what}: median {} ms (limit {limit}), all {all:?}", all[all.len() / 2]);
            };
            show("cold wake to evidence", &cold, 1500);
            show("warm delivery to evidence", &warm, if *way == "typed" { 300 } else { 60 });
            agent.home.ok("iapeer-reap", &[&agent.identity]);
        }
    }
}
