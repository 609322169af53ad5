//! Drafts of a person, an urgent message, a compaction.

use super::agent::{Agent, PATIENCE, known, says};
use crate::support::wait_until;
use serde_json::Value;

/// Drafts, an urgent message, a compaction.
pub fn has_manners(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // What is typed is what is tried here.
    says(home, "ada", "delivery", "type");
    let target = format!("={identity}:");
    let shows_draft = || wait_until("the draft to show", PATIENCE, || home.screen(identity).contains("half a thought"));
    agent.send("hello one");
    agent.wait_idle();
    agent.send("hello two");
    agent.wait_idle();

    home.ok("iapeer", &["compact", "ada"]);
    let three = agent.send("hello three");
    stub.asked(three["id"].as_str().unwrap());
    agent.wait_idle();

    // Nobody is there: what was left in the composer makes way, is no part of the message, and is put back after it.
    home.tmux(identity, &["send-keys", "-t", &target, "-l", "half a thought"]);
    shows_draft();
    let four = agent.send("hello four");
    stub.asked(four["id"].as_str().unwrap());
    agent.wait_idle();

    // Somebody is: the message waits, the draft stays.
    let person = agent.attached();
    shows_draft();
    let held = home.run("iapeer-send", &["ada", "--from", "op", "--wait", "2", "--json", "-m", "hello five"]).json();
    assert_eq!(held["outcome"], "queued", "{held}");
    assert!(home.screen(identity).contains("half a thought"), "{}", home.screen(identity));
    for _ in 0.."half a thought".len() {
        home.tmux(identity, &["send-keys", "-t", &target, "BSpace"]);
    }
    wait_until("the message to go in", PATIENCE, || {
        home.ok("iapeer-drain", &[identity]);
        home.queue(identity) == (0, 0, 0)
    });
    stub.asked(held["id"].as_str().unwrap());
    agent.wait_idle();
    person.signal(nix::sys::signal::Signal::SIGTERM);
    let merged: Vec<Value> =
        stub.requests().into_iter().filter(|request| request.to_string().contains("half a thought")).collect();
    assert!(merged.is_empty(), "a draft went along: {merged:?}");

    // Urgent: a minute's answer is cut short.
    let long = agent.send("SLOW:60 six");
    stub.asked(long["id"].as_str().unwrap());
    let shown = known(runtime).runs;
    wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains(shown));
    let urgent = home.run("iapeer-send", &["ada", "--from", "op", "--urgent", "--json", "-m", "seven"]).json();
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    let id = urgent["id"].as_str().unwrap();
    stub.asked(id);
    agent.wait_idle();
    let asked = |request: &&Value| request["tools"] != 0 && request["user"].as_str().is_some_and(|t| t.contains(id));
    assert_eq!(stub.requests().iter().filter(asked).count(), 1, "the model was asked once");
    home.ok("iapeer-reap", &[identity]);
}

/// A draft of several lines that nobody looks at makes way for a message at once and is no part of it; it stands there
/// again afterwards, and submitted then, it is what its person wrote.
pub fn keeps_a_draft(runtime: &'static str) {
    let Some(agent) = Agent::new(runtime) else { return };
    let Agent { home, stub, identity, .. } = &agent;
    // What is typed is what is tried here.
    says(home, "ada", "delivery", "type");
    agent.send("hello one");
    agent.wait_idle();
    let target = format!("={identity}:");
    // Claude Code would show the whole of it as a mark.
    let pastes: &[(&str, &str)] = match runtime {
        "claude" => &[("alpha line\nbeta line\n", "beta line"), ("\ndelta line", "delta line")],
        _ => &[("alpha line\nbeta line\n\ndelta line", "delta line")],
    };
    for &(draft, shown) in pastes {
        if runtime == "opencode" {
            // It would show three lines that are pasted as a mark.
            for (n, line) in draft.lines().enumerate() {
                if n > 0 {
                    home.tmux(identity, &["send-keys", "-t", &target, "C-j"]);
                }
                home.tmux(identity, &["send-keys", "-t", &target, "-l", line]);
            }
        } else {
            home.tmux(identity, &["set-buffer", "-b", "draft", draft]);
            home.tmux(identity, &["paste-buffer", "-p", "-d", "-b", "draft", "-t", &target]);
        }
        wait_until("the draft to show", PATIENCE, || home.screen(identity).contains(shown));
    }
    let stands = || home.screen(identity).contains("delta line");
    let two = agent.send("hello two");
    stub.asked(two["id"].as_str().unwrap());
    // Pasted in one piece it may be shown as a mark.
    wait_until("the draft to be back", PATIENCE, || stands() || home.screen(identity).contains("[Pasted "));
    wait_until("the turn to be over", PATIENCE, || agent.state() == "idle");
    let asked = |word: &str| stub.requests().iter().filter(|request| request.to_string().contains(word)).count();
    assert_eq!((asked("alpha line"), asked("delta line")), (0, 0), "a draft went along");
    assert!(!home.state(identity, "draft"), "the draft is in its place");
    home.tmux(identity, &["send-keys", "-t", &target, "Enter"]);
    let whole = stub.whole("delta line");
    assert!(whole.contains("alpha line\\nbeta line\\n\\ndelta line"), "{}", home.screen(identity));
    home.ok("iapeer-reap", &[identity]);
}
