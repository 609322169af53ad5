//! The pages of the programs: their exit codes, the causes of a wake, the keys of `iapeer top`.

use crate::*;

/// The exit codes of a program in the paragraph that begins with `Exit: `.
fn exit_codes(text: &str) -> Option<BTreeSet<i32>> {
    let (_, said) = text.split_once("Exit: ")?;
    let said = said.split("\n\n").next()?.replace("\n", " ");
    let code = |part: &str| part.trim().split([' ', ',']).next()?.parse().ok();
    Some(said.split('·').filter_map(code).collect())
}

#[test]
fn the_exit_codes_of_a_program_are_the_same_on_its_page_and_in_its_source() {
    let bins = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let mut compared = 0;
    for file in fs::read_dir(bins).unwrap() {
        let path = file.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let header: Vec<&str> =
            source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start).collect();
        let Some(codes) = exit_codes(&header.join("\n")).filter(|codes| !codes.is_empty()) else { continue };
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let said = exit_codes(&fs::read_to_string(page(&format!("{name}.md"))).unwrap());
        assert_eq!(said, Some(codes), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 11);
}

/// The table of keys of `docs/top.md`, from the table in the code.
fn keys_of_top() -> String {
    let mut text = String::from("\n| key | what it does |\n|---|---|\n");
    for key in TOP_KEYS {
        let names: Vec<String> = key.names.iter().map(|name| format!("`{name}`")).collect();
        text += &format!("| {} | {} |\n", names.join(", "), key.help);
    }
    for note in TOP_NOTES {
        text += &format!("\n{note}\n");
    }
    text + "\n"
}

#[test]
fn the_keys_on_their_page_are_those_of_the_table() {
    let path = page("top.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- keys -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of the keys -->").unwrap();
    let wanted = format!("{before}<!-- keys -->\n{}<!-- end of the keys -->{after}", keys_of_top());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|update| update == "1") {
        fs::write(&path, &wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/top.md is out of date: UPDATE_DOCS=1 cargo test --test docs");
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
