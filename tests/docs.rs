//! The pages under docs/ say what the code says. `UPDATE_DOCS=1` writes the generated ones anew.

use iapeer::core::exit::Exit;
use iapeer::core::settings::TABLE;
use std::fs;
use std::path::{Path, PathBuf};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// `docs/settings.md`, from the table in the code.
fn settings() -> String {
    let mut text = String::from(
        "# Settings

<!-- Written by `UPDATE_DOCS=1 cargo test --test docs` from src/lib/core/settings.rs. -->

Settings are environment variables. A value that can't be read is refused with exit code 78 and the variable's name;
an empty or blank one means the default. Paths are absolute.

| variable | default | what it is for |
|---|---|---|
| `IAPEER_ROOT` | `~/.iapeer` | The folder of all state. |
| `IAPEER_SOCK_DIR` | `<root>/socks` | The folder of the tmux sockets. |
| `IAPEER_TEST_SANDBOX` | | `1` in tests of your own: nothing is written into `~/.iapeer` or your units, and no service manager is asked. |

Units: `s` seconds (decimals are fine), `ms` whole milliseconds, `count` and `bytes` whole numbers over zero, `flag` one
of 1, true, yes, on or 0, false, no, off, `word` one of the words named.

| variable | default | unit | what it is for |
|---|---|---|---|
",
    );
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

#[test]
fn the_exit_codes_page_has_a_row_for_each_code_and_no_other() {
    use Exit::*;
    let codes = [Ok, Usage, DataErr, NoInput, NoPeer, Refused, Internal, CantCreate, Io, TryAgain, NoPerm, Config];
    let wanted: Vec<u8> = codes.iter().map(|exit| *exit as u8).collect();
    let text = fs::read_to_string(page("exit-codes.md")).unwrap();
    let row = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse().ok();
    let found: Vec<u8> = text.lines().filter_map(row).collect();
    assert_eq!(found, wanted);
}
