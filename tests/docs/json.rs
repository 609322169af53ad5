//! The page of JSON output: each example is what its command prints, and each verb that prints JSON has one.

use crate::*;

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
