//! What is shipped holds nothing of what tests build in: no program can be told to die at a step or to fail one.

#![allow(unreachable_pub, clippy::unwrap_used)]
#![cfg(not(feature = "failpoints"))]

mod support;

use std::fs;
use std::process::Command;

#[test]
fn no_program_knows_a_failpoint() {
    let pages = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin")).unwrap();
    let programs = pages.map(|page| support::bin(&page.unwrap().path().file_stem().unwrap().to_string_lossy()));
    let words = ["IAPEER_FAILPOINT", "IAPEER_FAULT", "IAPEER_PANIC", "IAPEER_TRACE", "publish.take-back"]
        .map(|word| format!("-e{word}"));
    let found = Command::new("grep").arg("-laF").args(words).args(programs).output().unwrap();
    assert_eq!((found.status.code(), String::from_utf8_lossy(&found.stdout).as_ref()), (Some(1), ""));
}

#[test]
fn what_is_started_for_each_message_links_no_client_of_a_network_and_no_screen() {
    // The names of functions have their crates' names in them.
    let heavy = |program: &str| {
        let symbols = Command::new("nm").arg(support::bin(program)).output().unwrap();
        assert!(symbols.status.success(), "{}", String::from_utf8_lossy(&symbols.stderr));
        let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
        let crates = ["async_nats", "rustls", "ureq", "ratatui", "crossterm", "tungstenite"];
        crates.into_iter().filter(|name| symbols.contains(name)).collect::<Vec<_>>()
    };
    for program in ["iapeer-send", "iapeer-mcp", "iapeer-turn", "iapeer-canary"] {
        assert_eq!(heavy(program), [""; 0], "{program}");
    }
    // Those that give messages to sessions talk to app-servers on this machine.
    for program in ["iapeer-drain", "iapeer-wake", "iapeer-superviser"] {
        assert_eq!(heavy(program), ["tungstenite"], "{program}");
    }
    assert_eq!(heavy("iapeer-relay"), ["async_nats", "rustls"]);
    assert!(heavy("iapeer-telegram").contains(&"ureq") && heavy("iapeer").contains(&"ratatui"));
}
