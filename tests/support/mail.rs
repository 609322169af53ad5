//! What the person `me` of a home got, and what waits there for other hosts.

use super::{TestHome, count_items};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// What is in the inbox of `me`.
pub fn letters(home: &TestHome) -> Vec<Value> {
    home.ok("iapeer", &["inbox", "me", "--all", "--json"]).json_lines()
}

/// How many messages wait for the host `other`, are being handed over, and are dead.
pub fn outbox(home: &TestHome, other: &str) -> (usize, usize, usize) {
    let queue = home.root().join(format!("state/outbox/{other}.queue"));
    (count_items(&queue), count_items(&queue.join("inflight")), count_items(&queue.join("dead")))
}

/// What `me` of a home was delivered, in order, by sender.
pub fn delivered(home: &TestHome) -> BTreeMap<String, Vec<String>> {
    delivered_to(home, "me")
}

/// What the person `to` of a home was delivered, in order, by sender.
pub fn delivered_to(home: &TestHome, to: &str) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(home.root().join(format!("history/person-{to}.jsonl"))).unwrap_or_default();
    let mut by_sender: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        by_sender.entry(text("from")).or_default().push(text("task"));
    }
    by_sender
}
