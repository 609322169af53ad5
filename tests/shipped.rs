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
    let words =
        ["IAPEER_FAILPOINT", "IAPEER_FAULT", "IAPEER_TRACE", "publish.take-back"].map(|word| format!("-e{word}"));
    let found = Command::new("grep").arg("-laF").args(words).args(programs).output().unwrap();
    assert_eq!((found.status.code(), String::from_utf8_lossy(&found.stdout).as_ref()), (Some(1), ""));
}
