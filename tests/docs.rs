//! The pages under docs/ say what the code says. `UPDATE_DOCS=1` writes the generated ones anew.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod docs {
    mod files;
    mod json;
    mod programs;
    mod settings;
}
mod support;

use iapeer::base::exit::Exit;
use iapeer::base::settings::{PLACES, TABLE};
use iapeer::top::keys::{TOP_KEYS, TOP_NOTES};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use support::telegram::{self, Telegram};
use support::{Output, PATIENCE, Terminal, TestHome, wait_for, wait_until};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The files under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
