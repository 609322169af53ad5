//! The structure of the library, checked: which room may use which, what only `host` may do, and how large files get.
//! The tests' own files are checked for their length alone.
//!
//! * The rooms and their order are the table at the head of `src/lib/lib.rs`. A room uses those above it.
//! * Files do not import each other in circles.
//! * A `rule.rs`, and `session/crash_loop.rs`, import only `base`: they decide and do no I/O.
//! * `tmux`, `systemctl`, `launchctl`, `kill`, `/proc`, the start of any program, and `unsafe` are in `src/lib/host/` alone.
//! * Files are read by `store/open`, which waits for no FIFO and stops at a size, but for those that a user names.
//! * No file has more than 450 lines, below `src/`, `tests/`, `benches/` and `fuzz/`.
//! * No room has more than 15 % of the library's code, and half of the library's files have at most 120 lines of code. A line
//!   of code is one with something on it that is neither a comment nor documentation, outside `#[cfg(test)]` modules.
//!
//! The same holds for the `#[cfg(test)]` modules in the library's files, except that the tests of a rule may use other
//! crates. Comments, documentation and the text of strings count for nothing, except that `/proc` and the names of those
//! programs are found in string literals.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod layers {
    mod examples;
    pub mod graph;
    pub mod rules;
    pub mod source;
}

use layers::rules::Tree;
use std::path::Path;

fn read(dir: &Path, root: &Path, into: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What cargo-fuzz builds below `fuzz/` is nobody's source.
            if !path.ends_with("target") {
                read(&path, root, into);
            }
        } else if path.extension().is_some_and(|end| end == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            into.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_is_as_its_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz"] {
        read(&root.join(folder), root, &mut files);
    }
    files.sort();
    let found = Tree::read(&files).problems();
    assert!(found.is_empty(), "{} problems:\n{}", found.len(), found.join("\n"));
}
