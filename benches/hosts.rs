//! What a message to a peer on another host takes: by ssh with a connection of its own and with a kept one, and through a
//! NATS server, each against a delivery on one host and against `ssh box true`, in turns, all over loopback. Nothing here
//! passes or fails.

#![allow(unreachable_pub, clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;
mod timing;

use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use support::mail::outbox;
use support::nats::{NatsServer, member, relay};
use support::ssh::{SshHome, two};
use support::{PATIENCE, TestHome, hold, wait_until};
use timing::{timed, until};

const BODY: &str = "the build is green, the report lies in /srv/reports, and somebody should look at the third table";
const ROUNDS: usize = 21;
/// Rounds that only warm up.
const WARM_UP: usize = 2;
/// How many messages go in one push.
const MANY: usize = 1000;

fn main() {
    let (laptop, there) = two();
    there.home.parrot("bob", &[("PARROT_TURN_MS", "0"), ("PARROT_REPLY", "0")]);
    let base = TestHome::new();
    let server = NatsServer::start(&base, "");
    let [one, other] =
        [("east", "west"), ("west", "east")].map(|(name, far)| member(name, &[far], &server.url(), json!({})));
    other.parrot("bob", &[("PARROT_TURN_MS", "0"), ("PARROT_REPLY", "0")]);
    let _relays = [relay(&one), relay(&other)];

    let mut all = Rows::default();
    for _ in 0..ROUNDS + WARM_UP {
        keep(&laptop, &there, 0);
        all.add("ssh box true", timed(|| laptop.ssh(&there, &["true"])));
        all.sent("local, warm", &there.home, "bob", &there.home);
        all.sent("ssh, a connection each", &laptop.home, "bob@box", &there.home);
        keep(&laptop, &there, 60);
        // The first one connects.
        laptop.home.ok("iapeer-send", &["bob@box", "--require", "delivered", "-m", BODY]);
        idle(&there.home);
        all.sent("ssh, kept", &laptop.home, "bob@box", &there.home);
        all.sent("NATS", &one, "bob@west", &other);
    }
    all.print();
    many(&laptop, &there);
}

/// Says how long both keep a connection.
fn keep(laptop: &SshHome, there: &SshHome, secs: u32) {
    laptop.knows(there, json!({ "keep_secs": secs }));
    there.knows(laptop, json!({ "keep_secs": secs }));
}

/// Many messages to a person, all there before the push starts.
fn many(laptop: &SshHome, there: &SshHome) {
    keep(laptop, there, 0);
    let send = |to: &str| laptop.home.ok("iapeer-send", &[to, "--no-wait", "-m", BODY]);
    let lock = laptop.home.root().join("state/outbox/box.lock");
    send("me@box");
    wait_until("the first", PATIENCE, || outbox(&laptop.home, "box") == (0, 0, 0));
    let held = hold(&lock);
    let accepting = timed(|| (0..MANY).for_each(|_| drop(send("me@box"))));
    assert_eq!(outbox(&laptop.home, "box").0, MANY);
    drop(held);
    let push = timed(|| drop(laptop.home.ok("iapeer-relay", &["push", "box"])));
    assert_eq!(outbox(&laptop.home, "box").0, 0);
    let receipts = timed(|| wait_until("the receipts", PATIENCE, || outbox(&laptop.home, "box") == (0, 0, 0)));
    let accept = accepting.as_secs_f64() / MANY as f64;
    let each = push.as_secs_f64() / MANY as f64;
    println!(
        "{MANY} messages in one push: {:.2} s, {:.2} ms each, {:.2} × an iapeer-send of each ({:.2} ms); all receipts {:.2} s later",
        push.as_secs_f64(),
        each * 1000.0,
        each / accept,
        accept * 1000.0,
        receipts.as_secs_f64()
    );
}

/// Times by figure, in the order of their first round.
#[derive(Default)]
struct Rows(Vec<(String, Vec<Duration>)>);

impl Rows {
    fn add(&mut self, figure: &str, time: Duration) {
        match self.0.iter_mut().find(|(name, _)| name == figure) {
            Some((_, times)) => times.push(time),
            None => self.0.push((figure.to_owned(), vec![time])),
        }
    }

    /// Sends a message to the parrot bob of `there`, who sleeps in no round but the first.
    fn sent(&mut self, figure: &str, from: &TestHome, to: &str, there: &TestHome) {
        let before = recorded(there);
        let start = Instant::now();
        let sending = from.spawn("iapeer-send", &[to, "--from", "me", "--require", "delivered", "-m", BODY]);
        until(|| recorded(there) > before);
        self.add(&format!("{figure}: landed"), start.elapsed());
        let sent = sending.wait(PATIENCE);
        assert_eq!(sent.code, 0, "{sent}");
        self.add(&format!("{figure}: its sender told"), start.elapsed());
        idle(there);
        for host in ["box", "west"] {
            wait_until("the receipts", PATIENCE, || outbox(from, host) == (0, 0, 0));
        }
    }

    fn print(&mut self) {
        let medians: Vec<(String, f64)> = self
            .0
            .iter_mut()
            .map(|(name, times)| {
                let mut times = times.split_off(WARM_UP);
                times.sort();
                (name.clone(), times[times.len() / 2].as_secs_f64() * 1000.0)
            })
            .collect();
        let of = |wanted: &str| medians.iter().find(|(name, _)| name == wanted).map_or(f64::NAN, |(_, ms)| *ms);
        let (ssh, local) = (of("ssh box true"), of("local, warm: landed"));
        for (name, ms) in &medians {
            println!("{name}: {ms:.1} ms; {:.2} × ssh box true, {:.2} × local, warm: landed", ms / ssh, ms / local);
        }
    }
}

/// How many messages bob was given.
fn recorded(home: &TestHome) -> usize {
    fs::read_to_string(home.dir().join("bob.record")).map_or(0, |text| text.lines().count())
}

/// Waits until bob has nothing to do, and nobody is at work for him.
fn idle(home: &TestHome) {
    let turn: &Path = &home.state_dir().join("parrot-bob.turn");
    until(|| fs::read_to_string(turn).is_ok_and(|text| text.contains("idle")));
    home.at_rest("parrot-bob");
}
