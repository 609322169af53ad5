//! The bridge to Telegram against a stub of the Bot API: pairing, both directions, and nothing lost, doubled or told.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod telegram {
    mod buttons;
    mod chat;
    mod kills;
    mod pairing;
}
mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use support::telegram::{CHAT, TOKEN, Telegram, bridge, connect, connecting, update, without_session};
use support::{PATIENCE, TestHome, wait_for, wait_until};

/// A home with the person `me`, the parrot `bob`, and the stub.
fn home() -> (TestHome, Telegram) {
    let home = TestHome::new();
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let telegram = Telegram::start(&home);
    (home, telegram)
}

fn connected() -> (TestHome, Telegram) {
    let (home, telegram) = home();
    connect(&home, &telegram, &[]);
    wait_until("the bridge to listen", PATIENCE, || home.session_json("telegram-me").is_some());
    (home, telegram)
}

/// The folder of the bot.
fn bot_folder(home: &TestHome) -> std::path::PathBuf {
    home.cwd("me").join(".iapeer/runtimes/telegram/bot-7000001")
}

fn events(home: &TestHome, outcome: &str) -> usize {
    let is = |line: &&support::LogLine| line["ev"] == "telegram" && line.get("outcome").is_some_and(|o| o == outcome);
    home.log("lifecycle.log").iter().filter(is).count()
}
