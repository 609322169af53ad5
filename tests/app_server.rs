//! Messages by an app-server beside the terminal, against a double of one (tests/support/app_server_double.py): nothing is
//! typed, nothing is doubled, and where the server fails messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::ops::Deref;
use support::ssh::kill;
use support::untyped::{Double, Untyped, three_at_a_time};
use support::{PATIENCE, bin, wait_for, wait_until};

const BOB: &str = "macaw-bob";

/// A program whose terminal shows a parrot, with an app-server beside it.
struct Macaw(Untyped);

impl Deref for Macaw {
    type Target = Untyped;
    fn deref(&self) -> &Untyped {
        &self.0
    }
}

impl Macaw {
    fn new() -> Macaw {
        let double =
            Double { runtime: "macaw", kind: "app-server", script: "app_server_double.py", patience_ms: "1000" };
        Macaw(Untyped::new(double, |_, dir, manifest| {
            let parrot = bin("iapeer-parrot");
            manifest["argv"] = json!(["--parrot", parrot, "{@resume}", "{@prompt}", "{@hooks}", "{@extra}"]);
            manifest["app_server"] = json!({
                "argv": ["--app-server", "--listen", "{app_socket}", "--hook", "{iapeer_turn}", "--dir", dir],
                "attach": ["--parrot", parrot, "{@prompt}", "{@hooks}"],
                "options": ["-c"],
            });
        }))
    }

    /// How often the server was asked this.
    fn asked(&self, method: &str) -> usize {
        self.0.asked().iter().filter(|asked| asked["method"] == method).count()
    }

    /// By what evidence the messages were delivered, in order.
    fn evidence(&self) -> Vec<String> {
        let lines = self.home.log("delivery.log");
        lines.iter().filter(|line| line["outcome"] == "delivered").map(|line| line["via"].clone()).collect()
    }
}

#[test]
fn twenty_messages_leave_a_half_typed_draft_as_it_is() {
    let macaw = Macaw::new();
    macaw.twenty_beside_a_draft();
    assert_eq!(macaw.asked("turn/start"), 21);
}

/// A message that the server fails at in this way is delivered once, `marked` where it may have come before.
fn comes_once(fault: &Value, marked: bool) {
    let macaw = Macaw::new();
    macaw.comes_once(fault, marked, || {
        // A fault at the search needs a message to search for.
        let lost = json!({"method": "turn/start", "do": "lose", "quiet": true});
        macaw.faults(if fault["method"] == "turn/start" { json!([fault]) } else { json!([fault, lost]) });
    });
}

#[test]
fn a_message_comes_once_whatever_the_server_does_about_it() {
    let give = |what: &str, quiet: bool| json!({"method": "turn/start", "do": what, "quiet": quiet});
    let cases = [
        // Taken, and the answer is lost: found in the transcript, or by its id in the conversation alone.
        (give("lose", false), false),
        (give("lose", true), false),
        (give("take-and-die", false), false),
        // Whoever gives it is killed before the server takes it, and after that.
        (give("kill", false), true),
        (give("take-and-kill", false), false),
        (give("take-and-kill", true), false),
        // Not taken, and no answer: given once more, marked.
        (give("silent", false), true),
        (give("die", false), true),
        // Taken, and the server that is asked for the id does not answer at first.
        (json!({"method": "thread/items/list", "do": "silent"}), false),
    ];
    three_at_a_time(&cases, |(fault, marked)| comes_once(fault, *marked));
}

#[test]
fn where_the_server_does_not_answer_messages_are_typed_and_the_log_and_the_status_say_why() {
    for (fault, why) in [
        (json!({"method": "initialize", "do": "silent", "times": 0}), "no answer to initialize: it is silent"),
        (json!({"method": "turn/start", "do": "error", "times": 0}), "it refuses turn/start: the double"),
        (json!({"method": "thread/loaded/list", "do": "error", "times": 0}), "it refuses thread/loaded/list"),
    ] {
        Macaw::new().is_typed_and_says(fault, why);
    }
}

#[test]
fn a_session_without_its_server_is_typed_into_and_says_why() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    fs::write(macaw.dir().join("missing"), "").unwrap();
    macaw.delivered("typed");
    macaw.shows("typed");
    let why = "the app-server did not start: it ended at once (the double does not start)";
    assert_eq!(macaw.status(), format!("delivery: macaw-bob by type ({why})"));
    let kinds = macaw.kinds();
    assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0]["why"].as_str()), (1, "type", why));
    macaw.idle();
    macaw.delivered("typed too");
    // The next launch tries it again; a profile may do without.
    fs::remove_file(macaw.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    macaw.delivered("by the server");
    assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
    home.ok("iapeer-reap", &[BOB]);
    wait_until("the server's end with its session", PATIENCE, || {
        home.processes().iter().all(|(_, name)| name != "python3")
    });
    macaw.says("delivery", json!("type"));
    macaw.delivered("typed again");
    assert_eq!(macaw.status(), "delivery: macaw-bob by type (the profile says so)");
    assert_eq!(home.bodies("bob"), ["typed", "typed too", "by the server", "typed again"]);
}

#[test]
fn a_server_that_dies_is_the_death_of_its_session_and_the_next_message_wakes_it() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    macaw.delivered("first");
    macaw.idle();
    let (server, _) = home.processes().into_iter().find(|(_, name)| name == "python3").unwrap();
    kill(server);
    wait_until("the session's end", PATIENCE, || home.server_pid(BOB).is_none());
    let ended = home.log("lifecycle.log").into_iter().find(|line| line["ev"] == "app-server-ended").unwrap();
    assert_eq!(ended["outcome"], "session-ended");
    let sent = wait_for("the next message", PATIENCE, || {
        Some(macaw.send(&["second"])).filter(|sent| sent["outcome"] == "delivered")
    });
    assert_eq!((&sent["woke"], &sent["mode"]), (&json!(true), &json!("fresh")), "as after any death: {sent}");
    assert_eq!(home.bodies("bob"), ["first", "second"]);
}

/// Only the keeper knows of the server: without it nobody would end the server with the session.
#[test]
fn a_server_whose_keeper_is_killed_does_not_outlive_it() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    macaw.delivered("first");
    macaw.idle();
    let is_keeper = |(pid, _): &(i32, String)| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("--beside\0") && line.contains("\0--program\0")
    };
    let keeper = home.processes().into_iter().find(is_keeper).unwrap();
    kill(keeper.0);
    wait_until("the server's end", PATIENCE, || home.processes().iter().all(|(_, name)| name != "python3"));
    macaw.delivered("second");
    home.ok("iapeer-reap", &[BOB]);
    macaw.delivered("third");
    assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
    assert_eq!(home.bodies("bob"), ["first", "second", "third"]);
}

/// The server of the session before is still ending when the next session starts its own: that one must keep its socket.
#[test]
fn a_session_that_is_woken_while_the_server_before_it_ends_has_a_server_of_its_own() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    fs::write(macaw.dir().join("lingers"), "").unwrap();
    let servers = || home.processes().into_iter().filter(|(_, name)| name == "python3").map(|(pid, _)| pid);
    macaw.delivered("first");
    macaw.idle();
    let before: Vec<i32> = servers().collect();
    let pane = home.tmux(BOB, &["display-message", "-p", "#{pane_pid}"]).stdout.trim().parse().unwrap();
    kill(pane);
    macaw.delivered("second");
    wait_until("the first server's end", PATIENCE, || !servers().any(|pid| before.contains(&pid)));
    macaw.idle();
    macaw.delivered("third");
    assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
    let kinds: Vec<_> = macaw.kinds().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!(kinds, ["app-server", "app-server"]);
    assert_eq!(servers().count(), 1);
    assert_eq!(home.bodies("bob"), ["first", "second", "third"]);
}

#[test]
fn in_mid_turn_a_message_is_held_an_urgent_one_steers_and_the_order_is_kept() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    macaw.two_wait_for_a_turn();
    let urgent = macaw.send(&["--urgent", "now"]);
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    assert_eq!(home.bodies("bob"), ["HOLD on", "now"]);
    assert_eq!(macaw.asked("turn/steer"), 1);
    macaw.they_go_in_at_its_end();
    assert_eq!(home.bodies("bob"), ["HOLD on", "now", "one", "two"]);
    macaw.no_turn_was_cut_short(&"");
    assert_eq!(macaw.asked("turn/start"), 3);
}

#[test]
fn a_turn_is_interrupted_by_the_server_and_what_waited_goes_in() {
    let macaw = Macaw::new();
    macaw.is_interrupted(|| macaw.asked("turn/interrupt"));
}

#[test]
fn an_approval_is_answered_and_what_comes_meanwhile_waits() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    macaw.send(&["--no-wait", "ASK me"]);
    let rows = || home.run("iapeer", &["attention", "--json"]).json_lines();
    let row = wait_for("the approval", PATIENCE, || rows().into_iter().find(|row| row["peer"] == "bob"));
    assert_eq!((&row["state"], &row["text"]), (&json!("approval"), &json!("rm crackers")), "{row}");
    let sent = macaw.send(&["--wait", "0.3", "meanwhile"]);
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert_eq!(home.bodies("bob"), ["ASK me"]);
    home.ok("iapeer", &["answer", "bob", "deny"]);
    wait_until("the decision", PATIENCE, || {
        fs::read_to_string(macaw.dir().join("decisions")).is_ok_and(|text| text == "\"deny\"\n")
    });
    macaw.settle();
    assert_eq!(home.bodies("bob"), ["ASK me", "meanwhile"]);
    assert!(rows().is_empty());
}

#[test]
fn a_limit_is_told_by_the_transcript_that_the_server_writes() {
    let macaw = Macaw::new();
    let home = &macaw.home;
    macaw.delivered("LIMIT");
    let rows = || home.run("iapeer", &["attention", "--json"]).json_lines();
    let row = wait_for("the limit", PATIENCE, || rows().into_iter().find(|row| row["peer"] == "bob"));
    assert_eq!((&row["state"], &row["evidence"]), (&json!("limited"), &json!("transcript")), "{row}");
    let sent = macaw.send(&["--wait", "0.3", "waits for its end"]);
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert_eq!(home.bodies("bob"), ["LIMIT"]);
}

#[test]
fn arguments_that_the_server_does_not_take_have_messages_typed() {
    let macaw = Macaw::new();
    macaw.says("args", json!(["crackers"]));
    macaw.delivered("typed");
    let why = "the app-server does not take the peer's argument \"crackers\"";
    assert_eq!(macaw.status(), format!("delivery: macaw-bob by type ({why})"));
    assert!(macaw.evidence().iter().all(|via| via != "app-server"));
}
