//! Peers on other hosts: two roots that reach each other by a real sshd.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod hosts {
    mod authority;
    mod connections;
    mod messages;
    mod storm;
}
mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::mail::{delivered, letters};
use support::netns::{Cable, cut_while_both_write};
use support::ssh::{SshHome, apart, kill, two};
use support::telegram::{Telegram, connect};
use support::{Chance, Output, PATIENCE, TestHome, hold, wait_for, wait_until};

#[track_caller]
fn refused(output: &Output, code: i32, why: &str) {
    assert!(output.code == code && output.stderr.contains(why), "{output}");
}
