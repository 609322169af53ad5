//! What needs a person: approvals, failed turns, a login.

use super::agent::{Agent, PATIENCE, in_state, says, waiting};
use crate::support::{wait_for, wait_until};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A tool that waits for yes or no is answered from outside, and runs or does not.
pub fn asks_before_it_acts(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    says(home, "ada", "approvals", "ask");
    let touched = home.home().join("touched");
    let command = format!("touch {}", touched.display());
    for (word, message) in [("deny", Some("not-on-a-friday")), ("allow", None)] {
        agent.send(&format!("ESCALATE TOOL:{command}"));
        let row = in_state(&agent, "approval");
        assert!(row["text"].as_str().unwrap().contains(&command) && row["evidence"] == "hook", "{row}");
        assert!(row["tool"].is_string() && row["id"].is_string(), "{row}");
        let why: Vec<&str> = message.iter().flat_map(|message| ["-m", message]).collect();
        home.ok("iapeer", &[&["answer", "ada", row["id"].as_str().unwrap(), word], &why[..]].concat());
        wait_until("the approval's end", PATIENCE, || waiting(home).is_empty());
        agent.wait_idle();
        assert_eq!(touched.exists(), word == "allow", "{}", home.screen(identity));
        if let Some(message) = message {
            assert!(stub.last().contains(message), "the model was not told why");
        }
    }
    // What it says to its peers is not asked about.
    agent.send("SEND:op hello from ada");
    wait_until("its word", PATIENCE, || home.bodies("op") == ["hello from ada"]);
    assert!(waiting(home).is_empty());
    // Without the hook the program asks on its own screen, and is answered there.
    fs::remove_file(&touched).unwrap();
    agent.wait_idle();
    agent.send(&format!("ESCALATE TOOL:{command}"));
    in_state(&agent, "approval");
    end_hook(&agent);
    wait_until("the screen to ask", PATIENCE, || {
        waiting(home).iter().any(|row| row["evidence"] == "screen" && !row["answers"].as_array().unwrap().is_empty())
    });
    assert!(!touched.exists(), "nothing was allowed");
    let answered = home.ok("iapeer", &["answer", "ada", "allow"]);
    // Where there is an app-server, it is given the answer itself: no key is pressed.
    assert_eq!(answered.stdout.contains("accept, told to its app-server"), runtime == "codex", "{answered}");
    wait_until("the tool to run", PATIENCE, || touched.exists());
    wait_until("the approval's end", PATIENCE, || waiting(home).is_empty());
    home.ok("iapeer-reap", &[identity]);
}

/// A program without a hook for it asks on its own screen, and is answered there.
pub fn asks_on_its_screen(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, identity, .. } = &agent;
    says(home, "ada", "approvals", "ask");
    // In the peer's folder, and outside of it: a program may ask about the path first.
    for touched in [home.cwd("ada").join("touched"), home.home().join("touched")] {
        for word in ["deny", "allow"] {
            agent.send(&format!("TOOL:touch {}", touched.display()));
            // A hook that tells without waiting for an answer (Qwen's notice) may be sooner than the screen.
            let asked = wait_for("the program to ask", PATIENCE, || {
                waiting(home).into_iter().find(|row| row["state"] == "approval" && row["id"].is_null())
            });
            assert!(!touched.exists(), "{asked}");
            // A program may ask once more, about a path; and a notice comes before there is a screen to answer on.
            let mut answered = false;
            wait_until("the approval's end", PATIENCE, || {
                if waiting(home).iter().any(|row| row["state"] == "approval") {
                    answered |= home.run("iapeer", &["answer", "ada", word]).code == 0;
                }
                answered && waiting(home).is_empty() && touched.exists() == (word == "allow")
            });
            agent.wait_idle();
            assert_eq!(touched.exists(), word == "allow", "{}", home.screen(identity));
        }
    }
    agent.send("SEND:op hello from ada");
    wait_until("its word", PATIENCE, || home.bodies("op") == ["hello from ada"]);
    home.ok("iapeer-reap", &[identity]);
}

/// A tool that writes or changes a file, in the peer's folder and outside of it, is allowed and denied like a command.
pub fn asks_before_it_edits(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, identity, .. } = &agent;
    says(home, "ada", "approvals", "ask");
    if runtime == "codex" {
        // It gives its tool for edits to models that it knows.
        let path = home.home().join(".codex/config.toml");
        let config = fs::read_to_string(&path).unwrap().replace("\"stub-model\"", "\"gpt-5.5\"");
        fs::write(path, config).unwrap();
    }
    let inside = home.cwd("ada").join("edited.txt");
    let outside = home.home().join("edited.txt");
    let files = match runtime {
        // Codex writes in the folder without asking; Gemini CLI refuses to write outside of it.
        "codex" => vec![outside],
        "gemini" => vec![inside],
        _ => vec![inside, outside],
    };
    for file in &files {
        for text in ["written by the stub\n", "changed by the stub\n"] {
            is_asked_about(&agent, file, "deny", text, false);
            is_asked_about(&agent, file, "allow", text, false);
        }
    }
    if matches!(runtime, "claude" | "codex") {
        let file = home.home().join("on-the-screen.txt");
        for text in ["written by the stub\n", "changed by the stub\n"] {
            is_asked_about(&agent, &file, "deny", text, true);
            is_asked_about(&agent, &file, "allow", text, true);
        }
    }
    home.ok("iapeer-reap", &[identity]);
}

/// Has the program give `file` this text, and answers all that it asks before; `unhooked`: on its screen, because its hook has ended.
fn is_asked_about(agent: &Agent, file: &Path, word: &str, text: &str, unhooked: bool) {
    let Agent { home, runtime, identity, .. } = agent;
    let before = fs::read_to_string(file).ok();
    let after = if word == "allow" { Some(text.to_owned()) } else { before.clone() };
    agent.send(&format!("EDIT:{}", file.display()));
    if unhooked {
        in_state(agent, "approval");
        end_hook(agent);
    }
    let asks = || {
        let offers = |row: &Value| row["answers"].as_array().is_some_and(|answers| !answers.is_empty());
        let by = |row: &Value| !unhooked || row["evidence"] == "screen";
        waiting(home).into_iter().find(|row| row["state"] == "approval" && offers(row) && by(row))
    };
    wait_until("the program to ask", PATIENCE, || asks().is_some());
    assert_eq!(fs::read_to_string(file).ok(), before, "nothing was allowed");
    let (mut told, mut answered) = (Vec::<String>::new(), false);
    // A program may ask once more, about a folder.
    wait_until("the approval's end", PATIENCE, || {
        if let Some(row) = asks() {
            let text = row["text"].as_str().unwrap().to_owned();
            if told.last() != Some(&text) {
                eprintln!("{runtime} {word}: {row}");
                told.push(text);
            }
            answered |= home.run("iapeer", &["answer", "ada", word]).code == 0;
        }
        answered && waiting(home).is_empty() && fs::read_to_string(file).ok() == after
    });
    if unhooked {
        // No hook tells of the end of a turn that was denied on the screen: the transcript does.
        wait_until("the turn to end", PATIENCE, || agent.state() == "idle");
    } else {
        agent.wait_idle();
    }
    assert_eq!(fs::read_to_string(file).ok(), after, "{}", home.screen(identity));
    assert!(waiting(home).is_empty(), "{:?}", waiting(home));
    let name = file.file_name().unwrap().to_str().unwrap();
    // opencode asks about the folder first, and no more where that is denied.
    let folder = format!("{}/*", file.parent().unwrap().display());
    let names_it = |text: &String| text.contains(name) || word == "deny" && text.contains(&folder);
    assert!(told.iter().any(names_it), "{told:?}");
}

/// Ends the permission hook that waits: the program then asks on its own screen.
fn end_hook(Agent { home, identity, .. }: &Agent) {
    let file = home.state_dir().join(format!("{identity}.attention"));
    let pid = serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()["hook"]["pid"].as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// A turn that fails is over, and said so in the program's words, until the next one succeeds.
pub fn says_what_failed(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // Nobody waits for retries.
    if runtime == "claude" {
        let path = home.cwd("ada").join(".iapeer/runtimes/claude/launch.env");
        let env = fs::read_to_string(&path).unwrap() + "CLAUDE_CODE_MAX_RETRIES=0\n";
        fs::write(path, env).unwrap();
    } else if runtime == "codex" {
        let path = home.home().join(".codex/config.toml");
        let config = fs::read_to_string(&path).unwrap() + "request_max_retries = 0\nstream_max_retries = 0\n";
        fs::write(path, config).unwrap();
    }
    // A message that goes in untyped is delivered a moment before its turn asks the model.
    let first = agent.send("hello one");
    stub.asked(first["id"].as_str().unwrap());
    agent.wait_idle();
    let all = [(400, "failing"), (401, "login"), (529, "failing"), (500, "failing"), (429, "limited")];
    // The others try again and again, for longer than a test may take, what is worth another try.
    let tried = if matches!(runtime, "claude" | "codex") { &all[..] } else { &all[..2] };
    for &(status, state) in tried {
        stub.fail(Some(status));
        agent.send(&format!("fails with {status}"));
        let row = in_state(&agent, state);
        eprintln!("{runtime} {status}: {row}");
        assert!(!row["text"].as_str().unwrap().is_empty(), "{row}");
        // It is over: neither busy nor to be interrupted.
        let interrupted = home.run("iapeer", &["interrupt", "ada"]);
        assert_eq!(interrupted.code, 69, "{interrupted}");
        stub.fail(None);
        home.set("IAPEER_LIMIT_LOOK_SECS", "0.1");
        // A limit and a login hold what waits until it is time to try again.
        let again = home.ok("iapeer-send", &["ada", "--from", "op", "--no-wait", "--json", "-m", "and again"]).json();
        wait_until("the next message to go in", PATIENCE, || {
            home.ok("iapeer-drain", &[identity]);
            home.queue(identity) == (0, 0, 0)
        });
        stub.asked(again["id"].as_str().unwrap());
        wait_until("its end", PATIENCE, || waiting(home).is_empty());
        agent.wait_idle();
        home.unset("IAPEER_LIMIT_LOOK_SECS");
    }
    home.ok("iapeer-reap", &[identity]);
}

/// A program that tries again what may pass (a limit, an overloaded service) works until it succeeds: the turn goes on, and what
/// comes meanwhile waits for its end.
pub fn tries_again(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // A message that goes in untyped is delivered a moment before its turn asks the model.
    let first = agent.send("hello one");
    stub.asked(first["id"].as_str().unwrap());
    agent.wait_idle();
    for status in [429, 503] {
        stub.fail(Some(status));
        let before = stub.requests().len();
        agent.send(&format!("fails with {status}"));
        // A program may ask about something else first, as Gemini CLI does.
        let tries = || stub.requests().len() - before;
        wait_until("another try", 2 * PATIENCE, || tries() > 1);
        eprintln!("{runtime} {status}: {} {:?}", agent.state(), waiting(home));
        // Copilot shows nothing of it, and has no hooks that tell.
        if runtime != "copilot" {
            assert_eq!(agent.state(), "working", "{status}: {}", home.screen(identity));
        }
        stub.fail(None);
        let before = tries();
        wait_until("a try that succeeds", 2 * PATIENCE, || tries() > before);
        wait_until("the end of the turn", PATIENCE, || agent.state() == "idle");
        let next = agent.send("and again");
        stub.asked(next["id"].as_str().unwrap());
        wait_until("the end of the next turn", PATIENCE, || agent.state() == "idle");
        assert!(waiting(home).is_empty(), "{:?}", waiting(home));
    }
    home.ok("iapeer-reap", &[identity]);
}

/// Where nobody has logged in, the wake fails and says what to do, and the message waits.
pub fn needs_a_login(runtime: &'static str, wanted: &str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    fs::write(home.cwd("ada").join(".iapeer/runtimes").join(runtime).join("launch.env"), "IS_SANDBOX=1\n").unwrap();
    if runtime == "codex" {
        fs::remove_file(home.home().join(".codex/config.toml")).unwrap();
    }
    let sent = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "20", "--json", "-m", "hello"]).json();
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert!(sent["reason"].as_str().is_some_and(|reason| reason.contains(wanted)), "{sent}");
    home.at_rest(identity);
    assert_eq!((home.queue(identity), stub.requests().len()), ((1, 0, 0), 0));
    assert!(home.server_pid(identity).is_none(), "what is left of a failed wake is ended");
}
