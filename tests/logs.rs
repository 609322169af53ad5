//! The event logs: each line has the fields that `docs/logs.md` names for it, in that order and no others, and the page
//! has what the code writes.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::store::event_log;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::{PATIENCE, Terminal, TestHome, wait_until};

/// What the page says about one kind of line.
struct Row {
    log: String,
    ev: String,
    /// Each field, and whether every such line has it.
    fields: Vec<(String, bool)>,
}

impl Row {
    /// Whether a line with these keys, after `ts` and `ev`, is one of these.
    fn fits(&self, keys: &[String]) -> bool {
        let mut keys = keys.iter().peekable();
        for (field, required) in &self.fields {
            if keys.next_if_eq(&field).is_none() && *required {
                return false;
            }
        }
        keys.next().is_none()
    }

    fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }
}

/// The rows of the page.
fn rows() -> Vec<Row> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/logs.md")).unwrap();
    let mut rows = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let log = section.lines().next().unwrap();
        for line in section.lines().filter_map(|line| line.strip_prefix("| `")) {
            let mut cells = line.split(" | ");
            let Some((ev, fields)) = cells.next().and_then(|ev| ev.strip_suffix('`')).zip(cells.next()) else {
                continue;
            };
            if ev == "ev" {
                continue;
            }
            let word = |word: &str| match word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
                Some(word) => (word.to_owned(), false),
                None => (word.to_owned(), true),
            };
            let fields = fields.split('`').skip(1).step_by(2).map(word).collect();
            rows.push(Row { log: log.to_owned(), ev: ev.to_owned(), fields });
        }
    }
    rows
}

/// What has always been promised, in the order in which it is written.
const PROMISED: [(&str, &str, &str); 11] = [
    ("lifecycle.log", "wake", "personality identity runtime mode cause ref reason"),
    ("lifecycle.log", "supervise", "identity action death reason age state origin outcome"),
    ("lifecycle.log", "canary", "identity state origin"),
    ("lifecycle.log", "ephemeral-drain", "identity seq depth"),
    ("lifecycle.log", "topic-note", "identity topic"),
    ("lifecycle.log", "attach", "identity woke"),
    ("lifecycle.log", "attach-end", "identity rc"),
    ("lifecycle.log", "memory-provision", "identity occasion state exit ms detail"),
    ("delivery.log", "delivery", "caller to rt ok via woke queued qkind qd ms len att topic err"),
    ("exits.log", "session-exit", "identity dead_status dead_signal"),
    ("exits.log", "server-exit", "identity server_pid wait_rc cause forensics"),
];

#[test]
fn the_page_has_the_fields_that_have_always_been_promised() {
    let rows = rows();
    for (log, ev, fields) in PROMISED {
        let found = |row: &&Row| {
            let mut at = row.fields.iter();
            row.log == log && row.ev == ev && fields.split(' ').all(|field| at.any(|(name, _)| name == field))
        };
        assert!(rows.iter().any(|row| found(&row)), "{log}: {ev}: {fields}");
    }
    let refused = rows.iter().find(|row| row.ev == "delivery" && row.has("path")).unwrap();
    assert!(refused.fits(&["id", "path", "to", "outcome", "ok", "err"].map(str::to_owned)));
}

/// The files under `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The texts in quotes that follow `call` in `code`, up to the end of the argument or the first `,`.
fn texts(code: &str, call: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split(call).skip(1) {
        let argument = rest.split([')', ',']).next().unwrap();
        found.extend(argument.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

#[test]
fn the_page_has_every_event_and_every_field_of_the_code_and_no_other() {
    let rows = rows();
    let mut wrong = BTreeSet::new();
    let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib")) {
        let whole = fs::read_to_string(&file).unwrap();
        let code = whole.split("#[cfg(test)]").next().unwrap();
        let mut events: BTreeSet<String> = texts(code, " Event::new(").into_iter().collect();
        events.extend(texts(code, "(Event::new("));
        events.extend(texts(code, "&Event::new("));
        if code.contains("wake_event(") {
            events.insert("wake".to_owned());
        }
        if events.is_empty() {
            continue;
        }
        let fields = [texts(code, ".field("), texts(code, ".maybe(")].concat();
        for event in &events {
            written.entry(event.clone()).or_default().extend(fields.clone());
        }
        let known = |field: &String| rows.iter().any(|row| events.contains(&row.ev) && row.has(field));
        let unknown = fields.iter().filter(|field| !known(field));
        wrong.extend(unknown.map(|field| format!("{}: the page does not name {field:?}", file.display())));
    }
    assert!(written.len() > 30, "{:?}", written.keys());
    let of_page: BTreeSet<&String> = rows.iter().map(|row| &row.ev).collect();
    assert_eq!(of_page, written.keys().collect::<BTreeSet<_>>());
    for row in &rows {
        let never = row.fields.iter().filter(|(field, _)| !written[&row.ev].contains(field));
        wrong.extend(never.map(|(field, _)| format!("nothing writes {field:?} of ev={}", row.ev)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Checks every line of the logs, and answers which events there are.
fn checked(home: &TestHome) -> BTreeSet<String> {
    let rows = rows();
    let mut seen = BTreeSet::new();
    for log in ["lifecycle.log", "delivery.log", "exits.log"] {
        let text = fs::read_to_string(home.root().join("logs/iapeer").join(log)).unwrap_or_default();
        for line in text.lines() {
            let pairs = event_log::parse(line);
            let keys: Vec<String> = pairs.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(keys[..2], ["ts", "ev"], "{line}");
            let ev = &pairs[1].1;
            assert!(rows.iter().any(|row| row.log == log && row.ev == *ev && row.fits(&keys[2..])), "{log}: {line}");
            for (key, value) in &pairs {
                let number = value.strip_suffix('s').unwrap_or_default();
                assert!(key != "age" || number.parse::<u64>().is_ok(), "{line}");
                assert!(!["ms", "len", "qd"].contains(&key.as_str()) || value.parse::<u64>().is_ok(), "{line}");
                assert!(!value.contains("SECRET"), "{line}");
            }
            seen.insert(ev.clone());
        }
    }
    seen
}

#[test]
fn each_line_of_a_day_has_the_fields_of_the_page() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    let run = |program: &str, words: &str| home.run(program, &words.split(' ').collect::<Vec<_>>());
    let ok = |program: &str, words: &str| home.ok(program, &words.split(' ').collect::<Vec<_>>());
    for (name, program) in [("memory", "#!/bin/sh\n"), ("notify", "#!/bin/sh\nexit 3\n")] {
        fs::write(home.root().join(name), program).unwrap();
        fs::set_permissions(home.root().join(name), Permissions::from_mode(0o755)).unwrap();
    }
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    fs::write(home.cwd("ann").join(".iapeer/IAPEER.md"), "You keep the books.\n").unwrap();
    ok("iapeer", "create wk --runtime parrot --ephemeral --description worker");
    home.launch_env("wk", &[("PARROT_REPLY", "1")]);
    ok("iapeer", "memory-plugin on ann");
    ok("iapeer", "create me --runtime person");
    ok("iapeer-send", "me --from bob -m SECRET");
    // Delivered, refused, held.
    ok("iapeer-send", "ann --from bob --require delivered --topic books -m SECRET");
    ok("iapeer-send", "ann --from bob --require delivered --topic taxes -m SECRET");
    home.at_rest("parrot-ann");
    home.parrot("dee", &[("PARROT_ATTENTION", "approval")]);
    ok("iapeer-send", "dee --from bob --no-wait -m SECRET");
    wait_until("the approval", PATIENCE, || run("iapeer", "attention").stdout.contains("dee  approval"));
    ok("iapeer", "answer dee allow");
    assert_ne!(run("iapeer-send", "nobody --from bob -m SECRET").code, 0);
    home.parrot("cy", &[("PARROT_DIALOG", "login")]);
    run("iapeer-send", "cy --from bob --wait 5 -m SECRET");
    // A worker's task, and its end.
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "0.2");
    ok("iapeer-send", "wk --from bob -m SECRET");
    wait_until("the worker to be done", PATIENCE, || {
        run("iapeer-superviser", "-v");
        home.log("lifecycle.log").iter().any(|line| line.get("action").is_some_and(|is| is == "reaped-ephemeral"))
    });
    // An operator.
    let person = Terminal::running(&home, &["sh"]);
    person.types("iapeer attach ann; echo ended with $?");
    person.enter();
    wait_until("the client", PATIENCE, || !home.tmux("parrot-ann", &["list-clients"]).stdout.is_empty());
    home.tmux("parrot-ann", &["detach-client", "-s", "parrot-ann"]);
    person.shows("ended with 0");
    for words in ["stop ann", "start ann", "schedule add daily --to ann --every 1d -m SECRET", "schedule remove daily"]
    {
        ok("iapeer", words);
    }
    // Deaths: of a server, and of the program in it.
    ok("iapeer-wake", "ann");
    let server = home.server_pid("parrot-ann").unwrap();
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
    wait_until("its death to be told", PATIENCE, || {
        run("iapeer-superviser", "-v");
        home.log("exits.log").iter().any(|line| line["ev"] == "server-exit") && !home.state("parrot-ann", "session")
    });
    ok("iapeer-wake", "ann");
    let pane = home.session_json("parrot-ann").unwrap()["pane"]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(pane as i32), Signal::SIGKILL).unwrap();
    wait_until("its program's death to be told", PATIENCE, || {
        run("iapeer-superviser", "-v");
        home.log("exits.log").iter().any(|line| line["ev"] == "session-exit") && !home.state("parrot-ann", "session")
    });
    ok("iapeer-wake", "ann");
    ok("iapeer-reap", "ann");
    ok("iapeer", "rename ann eve");
    let fleet = home.dir().join("team.toml");
    fs::write(&fleet, "[peers.dan]\nruntime = \"parrot\"\n").unwrap();
    home.ok("iapeer", &["up", fleet.to_str().unwrap()]);
    wait_until("the program's failure", PATIENCE, || {
        home.log("lifecycle.log").iter().any(|line| line["ev"] == "notify")
    });
    let seen = checked(&home);
    for ev in [
        "wake",
        "launch",
        "canary",
        "memory-provision",
        "wake-failed",
        "topic-note",
        "ephemeral-drain",
        "supervise",
        "reap",
        "stop",
        "start",
        "attach",
        "attach-end",
        "attention",
        "answer",
        "notify",
        "schedule",
        "fleet",
        "rename",
        "delivery",
        "session-exit",
        "server-exit",
    ] {
        assert!(seen.contains(ev), "no ev={ev}: {seen:?}");
    }
    let delivery = home.log("delivery.log");
    let has = |key: &str, value: &str| delivery.iter().any(|line| line.get(key).is_some_and(|is| is == value));
    for (key, value) in [("path", "cli"), ("queued", "true"), ("qkind", "composer"), ("queued", "false"), ("qd", "1")] {
        assert!(has(key, value), "{key}={value}: {delivery:#?}");
    }
}
