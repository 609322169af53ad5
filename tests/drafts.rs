//! A person's draft is sacred: it is seen whoever types it and by whatever way, and what has to make way for a message
//! is put back behind it.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Output, Terminal, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn home() -> TestHome {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[("PARROT_TURN_MS", "50")]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "first"]);
    home.at_rest(ANN);
    // Behind a running turn a message would go into the program's own queue.
    let turn = home.state_dir().join(format!("{ANN}.turn"));
    wait_until("the end of the turn", SOON, || {
        std::fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\""))
    });
    home
}

fn socket(home: &TestHome) -> PathBuf {
    home.sockets().join(format!("tmux-iap-{ANN}.sock"))
}

fn send(home: &TestHome, text: &str) -> Output {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--wait", "20", "-m", text])
}

fn composer(home: &TestHome) -> String {
    let screen = home.tmux(ANN, &["capture-pane", "-p", "-t", "%0"]).stdout;
    let at = screen.rfind('»').map_or("", |at| &screen[at..]);
    at.split("──").next().unwrap_or_default().trim_end().to_owned()
}

/// Pastes a draft, as a person's terminal does.
fn draft(home: &TestHome, text: &str) {
    home.tmux(ANN, &["set-buffer", "-b", "draft", text]);
    home.tmux(ANN, &["paste-buffer", "-p", "-d", "-b", "draft", "-t", "%0"]);
    let first = text.lines().next().unwrap().chars().take(20).collect::<String>();
    wait_until("the draft", SOON, || composer(home).contains(&first) || composer(home).contains("[Pasted"));
}

fn delivery_lines(home: &TestHome) -> Vec<support::LogLine> {
    home.log("delivery.log").into_iter().filter(|line| line["to"] == "ann").collect()
}

/// A terminal of a person's whose program is a client of ann's server.
fn terminal<'h>(home: &'h TestHome, client: &[&str]) -> Terminal<'h> {
    let ours = socket(home);
    let inner = ["env", "-u", "TMUX", "tmux", "-S", ours.to_str().unwrap()];
    let terminal = Terminal::running(home, &[&inner[..], client].concat());
    wait_until("the client", SOON, || clients(home) == 1);
    terminal
}

fn clients(home: &TestHome) -> usize {
    home.tmux(ANN, &["list-clients"]).stdout.lines().count()
}

/// A client in control mode, as iTerm2 is one.
struct Control(Child);

impl Control {
    fn attach(home: &TestHome) -> Control {
        let mut command: Command = home.cmd("tmux");
        command.arg("-S").arg(socket(home)).args(["-C", "attach", "-t", "%0"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the client", SOON, || clients(home) == 1);
        Control(child)
    }

    fn types(&mut self, text: &str) {
        let stdin = self.0.stdin.as_mut().unwrap();
        for c in text.chars() {
            writeln!(stdin, "send-keys -t %0 -l {c}").unwrap();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_held(home: &TestHome, text: &str) {
    was_held(home, &send(home, text));
}

fn was_held(home: &TestHome, sent: &Output) {
    assert!(sent.stdout.contains("somebody has a draft in the composer"), "{sent}");
    // The item moves from one folder to another once its reason is noted.
    home.at_rest(ANN);
    let row = home.ok("iapeer-drain", &["--list", ANN, "--json"]).json_lines().remove(0);
    assert_eq!((row["held"].as_str(), row["attempts"].as_u64()), (Some("draft"), Some(0)), "{row}");
}

#[test]
fn a_person_in_a_grouped_session_is_seen() {
    let home = home();
    let person = terminal(&home, &["new-session", "-t", ANN, "-s", "view"]);
    person.types("half a thought");
    wait_until("the draft", SOON, || composer(&home).contains("half a thought"));
    is_held(&home, "second");
    assert!(composer(&home).contains("half a thought"));
}

#[test]
fn a_person_in_control_mode_is_seen_by_what_the_keys_do() {
    let home = home();
    home.set("IAPEER_COMPOSER_HOLD_SECS", "3");
    let mut person = Control::attach(&home);
    let started = std::time::Instant::now();
    // Longer than the hold: tmux counts none of these keys as the client's activity.
    wait_until("a while of typing", SOON, || {
        person.types("ab");
        started.elapsed() > Duration::from_secs(5)
    });
    // And while the message comes, however long that takes.
    let mut sending = home.spawn("iapeer-send", &["ann", "--from", "bob", "--wait", "20", "-m", "second"]);
    wait_until("the hold", SOON, || {
        person.types("ab");
        !sending.runs()
    });
    was_held(&home, &sending.wait(SOON));
    wait_until("the hold to be over", SOON, || {
        home.ok("iapeer-drain", &[ANN]);
        home.bodies("ann") == ["first", "second"]
    });
    wait_until("the draft to be back", SOON, || composer(&home).contains("abab"));
}

#[test]
fn a_person_is_seen_whatever_the_pane_is_called() {
    let home = home();
    let person = terminal(&home, &["attach", "-t", "%0"]);
    for title in ["screen", "client|1|0|x"] {
        home.tmux(ANN, &["select-pane", "-t", "%0", "-T", title]);
    }
    person.types("half a thought");
    wait_until("the draft", SOON, || composer(&home).contains("half a thought"));
    is_held(&home, "second");
}

#[test]
fn what_had_to_make_way_is_put_back_word_for_word() {
    let home = home();
    let text = "first line\nsecond line, with \"quotes\"\n\nfourth line";
    draft(&home, text);
    let before = composer(&home);
    let sent = send(&home, "second");
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    assert_eq!(home.bodies("ann"), ["first", "second"]);
    wait_until("the draft to be back", SOON, || composer(&home) == before);
    assert!(!home.state(ANN, "draft"));
    assert_eq!(delivery_lines(&home).pop().unwrap()["forced"], "true");
    home.at_rest(ANN);
    // Submitted now, it is what its person wrote.
    home.tmux(ANN, &["send-keys", "-t", "%0", "Enter"]);
    wait_until("the draft's turn", SOON, || home.record("ann").len() == 3);
    assert_eq!(home.record("ann")[2]["text"], Value::from(text));
}

#[test]
fn a_draft_makes_way_for_each_of_several_messages() {
    let home = home();
    draft(&home, "my own words");
    for text in ["second", "third"] {
        assert!(send(&home, text).stdout.starts_with("delivered"));
        home.at_rest(ANN);
    }
    assert_eq!(home.bodies("ann"), ["first", "second", "third"]);
    wait_until("the draft to be back", SOON, || composer(&home).trim_start_matches('»').trim() == "my own words");
}

#[test]
fn a_paste_that_could_not_be_put_back_is_never_cleared_under_a_persons_eyes() {
    let home = home();
    home.set("IAPEER_COMPOSER_HOLD_SECS", "0.2");
    let _person = terminal(&home, &["attach", "-t", "%0"]);
    draft(&home, &"line\n".repeat(12));
    let sent = send(&home, "second");
    assert!(sent.stdout.contains("send it or clear it"), "{sent}");
    assert!(composer(&home).contains("[Pasted text"));
    home.tmux(ANN, &["send-keys", "-t", "%0", "C-u"]);
    wait_until("the delivery", SOON, || {
        home.ok("iapeer-drain", &[ANN]);
        home.bodies("ann") == ["first", "second"]
    });
}
