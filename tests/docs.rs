//! The pages under docs/ say what the code says. `UPDATE_DOCS=1` writes the generated ones anew.

#![allow(unreachable_pub, clippy::unwrap_used)]

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

#[test]
fn the_settings_page_is_the_settings_table() {
    let (path, wanted) = (page("settings.md"), settings());
    if std::env::var_os("UPDATE_DOCS").is_some_and(|update| update == "1") {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/settings.md is out of date: UPDATE_DOCS=1 cargo test --test docs");
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

/// The id of a message in the examples.
const ID: &str = "01M7YEQDPSFQ470K9N062NKM85";

/// `value` as the page has it: what differs from run to run is replaced by an example of it.
fn example(home: &TestHome, key: &str, value: &Value) -> Value {
    let measured = key.ends_with("ms") || key.ends_with("_secs") || key.ends_with("_bytes") || key.contains("pid");
    match value {
        // How many are in which state is a matter of the moment.
        Value::Object(_) if key == "states" => json!({"asleep": 1, "idle": 1}),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), example(home, key, value))).collect(),
        Value::Array(list) => {
            // One of several things is enough.
            let most = if list.iter().any(|value| value.is_object() || value.is_array()) { 1 } else { list.len() };
            list.iter().take(most).map(|value| example(home, key, value)).collect()
        }
        Value::Number(_) if measured || key == "server" => json!(120),
        Value::Number(number) if number.as_u64().is_some_and(|ms| ms > 1_000_000_000_000) => {
            json!(1_795_689_886_000_u64)
        }
        Value::String(text) if text.len() == 26 && text.starts_with("01") => json!(ID),
        Value::String(text) if text.starts_with("20") && text.ends_with('Z') => {
            json!(if text.contains('.') { "2026-11-26T10:44:46.000Z" } else { "2026-11-26T10:44:46Z" })
        }
        Value::String(text) => {
            let text = text.replace(home.dir().to_str().unwrap(), "/home/me");
            json!(text.replace(support::bin_dir().to_str().unwrap(), "/usr/bin"))
        }
        other => other.clone(),
    }
}

/// Where two values have different shapes, by the path to there: other fields, other kinds of values.
fn differences(path: &str, documented: &Value, printed: &Value) -> Vec<String> {
    match (documented, printed) {
        (Value::Object(a), Value::Object(b)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
            let mut found: Vec<String> =
                keys(a).symmetric_difference(&keys(b)).map(|key| format!("{path}.{key} is in one only")).collect();
            for (key, value) in a {
                if let Some(other) = b.get(key) {
                    found.extend(differences(&format!("{path}.{key}"), value, other));
                }
            }
            found
        }
        (Value::Array(a), Value::Array(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => differences(&format!("{path}[]"), a, b),
            _ => vec![],
        },
        // What is known only sometimes.
        (Value::Null, _) | (_, Value::Null) => vec![],
        (a, b) if std::mem::discriminant(a) == std::mem::discriminant(b) => vec![],
        (a, b) => vec![format!("{path}: {a} and {b}")],
    }
}

/// One line of each shape, by the names of its fields.
fn shapes(lines: &[Value]) -> Vec<&Value> {
    let mut known = BTreeSet::new();
    let keys = |line: &&Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    lines.iter().filter(|line| known.insert(keys(line))).collect()
}

/// Runs a command of the JSON page.
fn run(home: &TestHome, command: &str) -> Output {
    let mut shell = home.cmd("sh");
    shell.args(["-c", command]);
    home.start(shell, None).wait(PATIENCE)
}

/// Runs a command of the JSON page, with what it needs around it.
fn run_example(home: &TestHome, command: &str) -> Output {
    let words: Vec<&str> = command.split(' ').collect();
    match words[1] {
        "doctor" => {
            let in_order = || home.run("iapeer", &["doctor"]).stdout == "everything is in order\n";
            wait_until("the canary", PATIENCE, in_order);
            run(home, command)
        }
        "attach" => in_a_terminal(home, command),
        "answer" => {
            home.parrot("dee", &[("PARROT_ATTENTION", "approval")]);
            home.ok("iapeer-send", &["dee", "--no-wait", "-m", "something that needs an approval"]);
            wait_until("the approval", PATIENCE, || {
                home.run("iapeer", &["attention"]).stdout.contains("dee  approval")
            });
            let printed = run(home, command);
            home.ok("iapeer", &["stop", "dee"]);
            home.ok("iapeer", &["remove", "dee", "--force"]);
            printed
        }
        "enable" if words[2] == "notes" => {
            fs::write(home.home().join("servers.json"), r#"{"servers":{"notes":{"command":"notes"}}}"#).unwrap();
            let plugins =
                json!({"plugins": {"server": {"from": [{"path": "{home}/servers.json", "at": ["servers"]}]}}});
            fs::create_dir_all(home.root().join("runtimes/parrot")).unwrap();
            fs::write(home.root().join("runtimes/parrot/runtime.json"), plugins.to_string()).unwrap();
            run(home, command)
        }
        "host" if words[2] == "test" => {
            let far = TestHome::new();
            fs::create_dir(far.root().join("hosts")).unwrap();
            for (at, name, other, root) in [(home, "laptop", "box", far.root()), (&far, "box", "laptop", home.root())] {
                support::ssh::that_runs_here(at);
                fs::write(at.root().join("hostname"), format!("{name}\n")).unwrap();
                let program = support::bin("iapeer-relay");
                let file = json!({"transport": "ssh", "destination": "there", "root": root, "program": program});
                fs::write(at.root().join(format!("hosts/{other}.json")), file.to_string()).unwrap();
            }
            run(home, command)
        }
        "interrupt" => {
            home.launch_env("ann", &[("PARROT_TURN_MS", "60000")]);
            home.ok("iapeer", &["new", "ann"]);
            home.ok("iapeer-send", &["ann", "--require", "delivered", "-m", "something that takes long"]);
            home.launch_env("ann", &[]);
            run(home, command)
        }
        "compact" => {
            home.ok("iapeer", &["new", "ann"]);
            home.ok("iapeer-send", &["ann", "--require", "delivered", "-m", "something that is over soon"]);
            // Refused while the turn runs.
            wait_for("the compaction", PATIENCE, || Some(run(home, command)).filter(|printed| printed.code != 75))
        }
        "units" => {
            home.unset("IAPEER_SERVICE_MANAGER");
            for name in ["IAPEER_SYSTEMD_USER_DIR", "IAPEER_LAUNCHAGENTS_DIR"] {
                home.set(name, home.dir().join("units"));
            }
            run(home, command)
        }
        "connect" => {
            home.set("IAPEER_SERVICE_MANAGER", "none");
            let chat = Telegram::start(home);
            fs::copy(home.dir().join("token"), home.home().join("token")).unwrap();
            let mut shell = home.cmd("sh");
            shell.args(["-c", command]);
            let connecting = home.start(shell, None);
            chat.write(&telegram::code(&connecting));
            connecting.wait(PATIENCE)
        }
        _ => run(home, command),
    }
}

/// Runs a command that becomes the terminal of Ann's session, which is detached then.
fn in_a_terminal(home: &TestHome, command: &str) -> Output {
    let terminal = Terminal::running(home, &["sh"]);
    terminal.types(&format!("{command} >attached; echo ended with $?"));
    terminal.enter();
    let clients = || home.tmux("parrot-ann", &["list-clients"]).stdout.lines().count();
    wait_until("the client", PATIENCE, || clients() == 1);
    home.tmux("parrot-ann", &["detach-client", "-s", "parrot-ann"]);
    terminal.shows("ended with 0");
    let printed = fs::read_to_string(home.home().join("attached")).unwrap();
    // What tmux says when it detaches is no part of it.
    let stdout = printed.lines().next().unwrap_or_default().to_owned();
    Output { code: 0, stdout, stderr: String::new() }
}

#[test]
fn each_example_of_the_json_page_is_what_its_command_prints() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("bob", &[]);
    home.ok("iapeer-superviser", &[]);
    for program in ["notify", "memory"] {
        let path = home.root().join(program);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = page("json.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut written = String::new();
    let mut wrong = Vec::new();
    let mut last_id = String::new();
    let mut sections = text.split("\n### `");
    written += sections.next().unwrap();
    for section in sections {
        let (command, rest) = section.split_once("`\n").unwrap();
        let output = run_example(&home, &command.replace(ID, &last_id));
        home.at_rest("parrot-ann");
        written += &format!("\n### `{command}`\n");
        let Some((before, block)) = rest.split_once("```json\n") else {
            assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{command}: {output}");
            written += rest;
            continue;
        };
        let codes: &[i32] = match command.split(' ').nth(1) {
            // A difference is found.
            Some("diff") => &[1],
            // Units can be started where there is a service manager.
            Some("units") => &[0, 69],
            _ => &[0],
        };
        assert!(codes.contains(&output.code), "{command}: {output}");
        let (block, after) = block.split_once("\n```").unwrap();
        let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{command}: {error}"));
        let documented: Vec<Value> = block.lines().map(parsed).collect();
        let lines = output.json_lines();
        if let Some(id) = lines[0].get("id").and_then(Value::as_str) {
            last_id = id.to_owned();
        }
        let kept = if documented.len() > 1 { shapes(&lines) } else { vec![&lines[0]] };
        let printed: Vec<Value> = kept.iter().map(|line| example(&home, "", line)).collect();
        if documented.len() != printed.len() {
            wrong.push(format!("{command}: {} shapes are documented, {} printed", documented.len(), printed.len()));
        }
        for (documented, printed) in documented.iter().zip(&printed) {
            wrong.extend(differences("", documented, printed).into_iter().map(|what| format!("{command}: {what}")));
        }
        let printed: Vec<String> = printed.iter().map(Value::to_string).collect();
        written += &format!("{before}```json\n{}\n```{after}", printed.join("\n"));
    }
    if std::env::var_os("UPDATE_DOCS").is_some_and(|update| update == "1") {
        fs::write(&path, &written).unwrap();
    } else {
        assert!(wrong.is_empty(), "docs/json.md: UPDATE_DOCS=1 cargo test --test docs\n{}", wrong.join("\n"));
    }
}

/// The words of a page that stand between backticks.
fn words_of(page: &str) -> Vec<&str> {
    page.split('`').skip(1).step_by(2).collect()
}

/// The code of a file of the library, without its tests.
fn code_of(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib").join(name)).unwrap();
    text.split("#[cfg(test)]").next().unwrap().to_owned()
}

#[test]
fn every_state_file_of_the_code_is_on_its_page() {
    let code = code_of("base/state_file.rs");
    let (_, suffixes) = code.split_once("pub fn suffix(self)").unwrap();
    let (suffixes, _) = suffixes.split_once("\n    }").unwrap();
    let text = fs::read_to_string(page("state-files.md")).unwrap();
    let suffixes: Vec<&str> = suffixes.split('"').skip(1).step_by(2).collect();
    assert!(suffixes.len() > 15, "{suffixes:?}");
    let missing: Vec<&&str> =
        suffixes.iter().filter(|suffix| !text.contains(&format!("<identity>.{suffix}"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Every other path: what `base` joins, with `<…>` for what is filled in.
    let mut paths = BTreeSet::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib/base")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.ends_with("paths.rs") {
            continue;
        }
        for call in code_of(&format!("base/{name}")).split(".join(").skip(1) {
            let call = call.strip_prefix("format!(").unwrap_or(call);
            if let Some(literal) = call.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                paths.insert(literal.replace('{', "<").replace('}', ">"));
            }
        }
    }
    assert!(paths.len() > 30, "{paths:?}");
    let known = |path: &&String| {
        let pieces: Vec<&str> = path.split(['<', '>']).step_by(2).filter(|piece| !piece.is_empty()).collect();
        pieces.iter().all(|piece| text.contains(piece))
    };
    let missing: Vec<&String> = paths.iter().filter(|path| !known(path)).collect();
    assert!(missing.is_empty(), "docs/state-files.md does not name {missing:?}");
}

/// The names of the fields of every struct that the text of a file is read into.
fn keys_of(code: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for part in code.split("Deserialize").skip(1) {
        // Up to the end of the item that this attribute stands before.
        let item = part.split("\n}").next().unwrap();
        let Some((_, fields)) = item.split_once(" struct ").and_then(|(_, rest)| rest.split_once('{')) else {
            continue;
        };
        let field = |line: &str| Some(line.trim().strip_prefix("pub ")?.split_once(':')?.0.replace("r#", ""));
        keys.extend(fields.lines().filter_map(field));
    }
    keys
}

#[test]
fn every_key_of_a_manifest_and_of_a_profile_is_on_its_page() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib");
    let text = fs::read_to_string(page("runtimes.md")).unwrap();
    let words = words_of(&text);
    let mut missing = Vec::new();
    let mut all = 0;
    for file in files(&src.join("runtime")).into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "rs")) {
        let name = format!("runtime/{}", file.file_name().unwrap().to_str().unwrap());
        for key in keys_of(&code_of(&name)) {
            all += 1;
            if !words.contains(&key.as_str()) {
                missing.push(format!("{key} of {name}"));
            }
        }
    }
    assert!(all > 60, "{all} keys");
    assert!(missing.is_empty(), "docs/runtimes.md does not name {missing:?}");
    let policy = fs::read_to_string(src.join("store/policy.rs")).unwrap();
    let (_, list) = policy.split_once("KEYS: [&str;").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let of_sessions = list.split('"').skip(1).step_by(2);
    let others = ["personality", "default_runtime", "runtimes", "description", "intelligence", "interfaces", "tags"];
    let text = fs::read_to_string(page("profiles.md")).unwrap();
    let words = words_of(&text);
    let missing: Vec<&str> = of_sessions.chain(others).filter(|key| !words.contains(key)).collect();
    assert!(missing.is_empty(), "docs/profiles.md does not name {missing:?}");
    // And the other way round: the page promises no key that nothing reads.
    let known: Vec<&str> = list.split('"').skip(1).step_by(2).chain(others).collect();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let unread: Vec<&str> = rows.filter(|key| !known.contains(key)).collect();
    assert!(unread.is_empty(), "docs/profiles.md names {unread:?}, which nothing reads");
}

/// The verbs that print JSON, and for verbs with verbs of their own each of these.
fn json_verbs(command: &clap::Command, path: &str) -> Vec<String> {
    let own = command.get_arguments().any(|argument| argument.get_long() == Some("json") && !argument.is_hide_set());
    let mut found: Vec<String> = own.then(|| path.to_owned()).into_iter().collect();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        found.extend(json_verbs(sub, &format!("{path} {}", sub.get_name())));
    }
    found
}

/// The command line of `iapeer`.
fn front() -> clap::Command {
    let front = iapeer::cli::manual::PROGRAMS.iter().find(|program| program.name == "iapeer").unwrap();
    (front.command)()
}

#[test]
fn every_verb_that_prints_json_is_on_the_json_page() {
    let json = fs::read_to_string(page("json.md")).unwrap();
    let verbs = json_verbs(&front(), "iapeer");
    assert!(verbs.len() > 40, "{verbs:?}");
    // Each has an example, which is run.
    let examples: Vec<&str> = json.split("\n### `").skip(1).map(|section| section.split('`').next().unwrap()).collect();
    let is_there = |verb: &&String| examples.iter().any(|example| format!("{example} ").contains(&format!("{verb} ")));
    let missing: Vec<&String> = verbs.iter().filter(|verb| !is_there(verb)).collect();
    assert!(missing.is_empty(), "docs/json.md has no example of these: {missing:?}");
    let without: Vec<String> = front()
        .get_subcommands()
        // What it prints is a picture.
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "top" && json_verbs(sub, sub.get_name()).is_empty())
        .map(|sub| sub.get_name().to_owned())
        .collect();
    assert_eq!(without, [""; 0], "verbs without --json");
}
