//! What is shipped holds nothing of what tests build in: no program can be told to die at a step or to fail one.

#![cfg(not(feature = "failpoints"))]

mod support;

use std::fs;

#[test]
fn no_program_knows_a_failpoint() {
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin")).unwrap() {
        let page = entry.unwrap().path();
        let program = support::bin(&page.file_stem().unwrap().to_string_lossy());
        let code = fs::read(&program).unwrap();
        for word in ["IAPEER_FAILPOINT", "IAPEER_FAULT", "IAPEER_TRACE", "publish.take-back"] {
            let found = code.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{} holds {word}", program.display());
        }
    }
}
