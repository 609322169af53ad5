//! The page of settings: it is generated from the table of settings, and no variable of the code is missing there.

use crate::*;

/// `docs/settings.md`, from the table in the code.
fn settings() -> String {
    let mut text = String::from(
        "# Settings

<!-- Written by `UPDATE_DOCS=1 cargo test --test docs` from src/lib/base/settings.rs. -->

Settings are environment variables. A value that can't be parsed is refused with exit code 78 and the variable's name;
an empty or blank value means the default. Paths are absolute.

| variable | default | meaning |
|---|---|---|
",
    );
    for place in PLACES {
        text += &format!("| `{}` | {} | {} |\n", place.name, place.default, place.doc);
    }
    text += "
Units: `s` is seconds (decimals are allowed), `ms` whole milliseconds, `days` days. A duration may also be written with a unit, as in
`90s`, `2m`, `1h`, `3d`. `count` and `bytes` are whole numbers over zero; `flag` is one of 1, true, yes, on, 0, false, no, off; `word` is one
of the words in the description.

| variable | default | unit | meaning |
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
            // `IAPEER` alone is the name of a stream.
            let is_name =
                word.bytes().all(|c| c.is_ascii_uppercase() || c == b'_') && word.contains('_') && !word.ends_with('_');
            is_name && (word.starts_with("IAP") || word.ends_with("_RUNTIME_BIN"))
        };
        // One is for tests alone: it guards the real registry from them.
        for name in text.split('"').filter(is_ours).filter(|name| *name != "IAPEER_TEST_SANDBOX") {
            assert!(page.contains(&format!("| `{name}` |")), "{name} of {}", file.display());
        }
    }
}
