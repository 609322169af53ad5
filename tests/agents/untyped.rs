//! Delivery without typing: Codex by its app-server, opencode by its HTTP server, Qwen Code by a file.

use super::agent::{Agent, PATIENCE, says};
use crate::support::wait_until;
use std::fs;

/// By the app-server beside the terminal: nothing is typed, and a person's draft stays as it is.
pub fn codex_takes_messages_without_typing() {
    let Some(agent) = Agent::new("codex") else { return };
    let Agent { home, identity, .. } = &agent;
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    agent.send("hello one");
    agent.wait_idle();
    let channel = || fs::read_to_string(home.state_dir().join(format!("{identity}.channel"))).unwrap();
    assert!(channel().contains("\"app-server\"") && !channel().contains("why"), "{}", channel());
    let log = fs::read_to_string(home.root().join("logs/iapeer/lifecycle.log")).unwrap();
    assert!(log.contains("ev=delivery-kind identity=codex-ada kind=app-server"), "{log}");
    let status = home.ok("iapeer", &["status"]);
    assert!(status.stdout.contains("codex-ada by app-server"), "{status}");

    beside_a_draft(&agent, "\u{203a} half a thought", true);
    let is_server = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("app-server\0--listen")
    };
    let servers = || home.processes().into_iter().map(|(pid, _)| pid).filter(is_server).collect::<Vec<i32>>();
    let before = servers();
    assert!(!before.is_empty());
    // What waits wakes the session again at once: by then it may have its next server.
    let ended = || wait_until("the server's end", PATIENCE, || !servers().iter().any(|pid| before.contains(pid)));
    killed_with_messages_that_wait(&agent, ended);

    // A dead server is the session's end, and the next message resumes it.
    let server = servers().into_iter().next_back().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the session's end", PATIENCE, || servers().is_empty());
    wait_until("the next message", 2 * PATIENCE, || {
        home.run("iapeer-send", &["ada", "--from", "op", "--json", "-m", "hello again"]).json()["outcome"]
            == "delivered"
    });
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
    wait_until("the server's end with its session", PATIENCE, || servers().is_empty());

    // A profile may do without.
    says(home, "ada", "delivery", "type");
    agent.send("typed");
    assert!(channel().contains("\"type\"") && channel().contains("the profile says so"), "{}", channel());
    assert!(servers().is_empty());
    agent.wait_idle();
    home.ok("iapeer-reap", &[identity]);
}

/// opencode by its HTTP server: nothing is typed, and a person's draft stays as it is.
pub fn opencode_takes_messages_without_typing() {
    let Some(agent) = Agent::new("opencode") else { return };
    let Agent { home, identity, .. } = &agent;
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    agent.send("hello one");
    agent.wait_idle();
    let status = || home.ok("iapeer", &["status"]).stdout;
    assert!(status().contains("opencode-ada by http\n"), "{}", status());
    beside_a_draft(&agent, "  ┃  half a thought", true);
    killed_with_messages_that_wait(&agent, || {});
    assert!(status().contains("opencode-ada by http\n"), "{}", status());
    home.ok("iapeer-reap", &[identity]);
}

/// Qwen Code by the file that it reads: nothing is typed, and a person's draft stays as it is.
pub fn qwen_takes_messages_without_typing() {
    let Some(agent) = Agent::new("qwen") else { return };
    let Agent { home, identity, .. } = &agent;
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    agent.send("hello one");
    agent.wait_idle();
    let status = || home.ok("iapeer", &["status"]).stdout;
    assert!(status().contains("qwen-ada by file\n"), "{}", status());
    // What is urgent in mid-turn is typed, and waits for the draft.
    beside_a_draft(&agent, "* half a thought", false);
    killed_with_messages_that_wait(&agent, || {});
    home.ok("iapeer-reap", &[identity]);
}

/// Twenty messages beside a half-typed draft in an attached terminal, one in mid-turn, an urgent one where
/// `urgent` says so; `composer` is what
/// the row with the draft shows.
fn beside_a_draft(agent: &Agent, composer: &str, urgent: bool) {
    let Agent { home, stub, identity, .. } = agent;
    // The composer is not empty: it says less than it does elsewhere.
    let over = || wait_until("the turn to be over", PATIENCE, || agent.state() == "idle");
    // A half-typed draft in an attached terminal.
    let target = format!("={identity}:");
    let person = agent.attached();
    home.tmux(identity, &["send-keys", "-t", &target, "-l", "half a thought"]);
    let composed = || home.screen(identity).lines().any(|line| line.trim_end_matches([' ', '\u{200b}']) == composer);
    wait_until("the draft to show", PATIENCE, composed);
    for n in 0..20 {
        let sent = agent.send(&format!("message {n} beside a draft"));
        stub.asked(sent["id"].as_str().unwrap());
        wait_until("the draft, as it was", PATIENCE, composed);
        over();
    }
    assert!(!stub.requests().iter().any(|request| request.to_string().contains("half a thought")));

    // In mid-turn: the answer is not cut short, and the message goes in after it.
    let slow = agent.send("SLOW:4 slow");
    stub.asked(slow["id"].as_str().unwrap());
    let mid = agent.send("in mid-turn");
    stub.asked(mid["id"].as_str().unwrap());
    wait_until("the slow answer, whole", PATIENCE, || agent.has_answered("w6 w7"));
    over();

    if urgent {
        // Urgent, behind one that is not.
        let long = agent.send("SLOW:60 long");
        stub.asked(long["id"].as_str().unwrap());
        wait_until("the answer to begin", PATIENCE, || home.screen(identity).contains("w1"));
        home.ok("iapeer-send", &["ada", "--from", "op", "--no-wait", "-m", "not urgent"]);
        let urgent = home.run("iapeer-send", &["ada", "--from", "op", "--urgent", "--json", "-m", "urgent"]).json();
        assert_eq!(urgent["outcome"], "delivered", "{urgent}");
        stub.asked(urgent["id"].as_str().unwrap());
        wait_until("the other one too", PATIENCE, || home.queue(identity) == (0, 0, 0));
        over();
    }
    person.signal(nix::sys::signal::Signal::SIGTERM);
}

/// `ended` is called when the program has been killed.
fn killed_with_messages_that_wait(agent: &Agent, ended: impl Fn()) {
    let Agent { home, stub, identity, .. } = agent;
    let target = format!("={identity}:");
    // Killed in mid-turn with messages that wait: each comes once, in its order.
    let slow = agent.send("SLOW:60 killed");
    stub.asked(slow["id"].as_str().unwrap());
    for n in 0..3 {
        home.ok("iapeer-send", &["ada", "--from", "op", "--no-wait", "-m", &format!("waits {n}")]);
    }
    let pane = home.tmux(identity, &["display-message", "-p", "-t", &target, "#{pane_pid}"]).stdout;
    let pane = nix::unistd::Pid::from_raw(pane.trim().parse().unwrap());
    nix::sys::signal::kill(pane, nix::sys::signal::Signal::SIGKILL).unwrap();
    ended();
    wait_until("all of them to be delivered", 2 * PATIENCE, || {
        home.ok("iapeer-superviser", &["--only", identity]);
        home.queue(identity) == (0, 0, 0)
    });
    agent.wait_idle();
    (0..3).for_each(|n| drop(stub.asked(&format!("waits {n}"))));
    let asked = stub.requests();
    for n in 0..3 {
        let times = asked.iter().filter(|request| {
            request["tools"] != 0 && request["user"].as_str().is_some_and(|user| user.contains(&format!("waits {n}")))
        });
        assert_eq!(times.count(), 1, "waits {n}");
    }
}
