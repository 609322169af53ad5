//! The pages under docs/ say what the code says. `UPDATE_DOCS=1` writes the generated ones anew.

#![allow(unreachable_pub, clippy::unwrap_used)]

use iapeer::base::exit::Exit;
use iapeer::base::settings::{PLACES, TABLE};
use std::fs;
use std::path::{Path, PathBuf};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// `docs/settings.md`, from the table in the code.
fn settings() -> String {
    let mut text = String::from(
        "# Settings

<!-- Written by `UPDATE_DOCS=1 cargo test --test docs` from src/lib/base/settings.rs. -->

Settings are environment variables. A value that can't be read is refused with exit code 78 and the variable's name;
an empty or blank one means the default. Paths are absolute.

| variable | default | what it is for |
|---|---|---|
",
    );
    for place in PLACES {
        text += &format!("| `{}` | {} | {} |\n", place.name, place.default, place.doc);
    }
    text += "
Units: `s` seconds (decimals are fine), `ms` whole milliseconds, `count` and `bytes` whole numbers over zero, `flag` one
of 1, true, yes, on or 0, false, no, off, `word` one of the words named.

| variable | default | unit | what it is for |
|---|---|---|---|
";
    for setting in TABLE {
        text += &format!("| `{}` | {} | {} | {} |\n", setting.name, setting.default, setting.unit, setting.doc);
    }
    text
}

#[test]
fn the_settings_page_is_the_settings_table() {
    let (path, wanted) = (page("settings.md"), settings());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|update| update == "1") {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/settings.md is out of date: UPDATE_DOCS=1 cargo test --test docs");
}

/// The files under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn every_variable_in_the_code_is_on_the_settings_page() {
    let page = settings();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        // In builds for tests alone.
        if file.ends_with("failpoints.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let is_ours = |word: &&str| {
            let is_name = word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') && !word.ends_with('_');
            is_name && (word.starts_with("IAP") || word.ends_with("_RUNTIME_BIN"))
        };
        // One is for tests alone: it guards the real registry from them.
        for name in text.split('"').filter(is_ours).filter(|name| *name != "IAPEER_TEST_SANDBOX") {
            assert!(page.contains(&format!("| `{name}` |")), "{name} of {}", file.display());
        }
    }
}

#[test]
fn every_cause_of_the_wake_rule_is_on_its_page() {
    let code = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib/base/wake.rs")).unwrap();
    let (_, causes) = code.split_once("enum WakeCause {").unwrap();
    let (causes, _) = causes.split_once("\n    }\n}").unwrap();
    let page = fs::read_to_string(page("iapeer-wake.md")).unwrap();
    // Not decided by the rule: how sessions are told that were not started by it.
    let of_the_rule = |word: &&str| !["enrolled", "launcher-died"].contains(word);
    let causes: Vec<&str> = causes.split('"').skip(1).step_by(2).filter(of_the_rule).collect();
    assert!(causes.len() > 12, "{causes:?}");
    for cause in causes {
        assert!(page.contains(&format!("`{cause}`")), "{cause}");
    }
}

#[test]
fn the_exit_codes_page_has_a_row_for_each_code_and_no_other() {
    use Exit::*;
    let codes =
        [Ok, Found, Usage, DataErr, NoInput, NoPeer, Refused, Internal, CantCreate, Io, TryAgain, NoPerm, Config];
    let wanted: Vec<u8> = codes.iter().map(|exit| *exit as u8).collect();
    let text = fs::read_to_string(page("exit-codes.md")).unwrap();
    let row = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    let found: Vec<u8> = text.lines().filter_map(row).collect();
    assert_eq!(found, wanted);
}
