//! What sessions are started with beside what iapeer gives them: the program's own memory switched, the memory slot of
//! the prompt, MCP servers and plugins of the user's.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use support::TestHome;

const ANN: &str = "parrot-ann";

/// Two parrots whose manifest can switch a memory and be given plugins.
fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    let dir = home.root().join("runtimes/parrot");
    fs::create_dir_all(&dir).unwrap();
    let manifest = json!({
        "argv": ["{@resume}", "{@prompt}", "{@hooks}", "--", "{file:servers}", "{@native_memory_on}", "{@native_memory_off}", "{@extra}"],
        "groups": {"native_memory_on": ["remember"]},
        "group_env": {"native_memory_off": {"NO_MEMORY": "1"}},
        "files": {"servers": {"known": {"iapeer": 1}}},
        "plugins": {
            "server": {"from": [{"path": "{home}/servers.json", "at": ["servers"]}], "into": {"file": "servers", "at": "known"}},
            "folder": {"args": ["folder", "{plugin}"], "servers": {
                "manifest": "about.json", "file": "own.json", "at": "servers", "called": "{plugin_name}.{server}",
                "variable": "PLUGIN_ROOT", "into": {"file": "servers", "at": "known"}}},
        },
    });
    fs::write(dir.join("runtime.json"), manifest.to_string()).unwrap();
    home
}

/// The arguments and the variables of Ann's next session.
fn launched(home: &TestHome) -> (Vec<String>, Vec<String>) {
    home.ok("iapeer-wake", &["ann", "--fresh"]);
    let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
    let read = |name: &str| -> Vec<String> {
        let bytes = fs::read(format!("/proc/{pane}/{name}")).unwrap();
        bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let all = (read("cmdline"), read("environ"));
    home.ok("iapeer-reap", &["ann", "--no-park"]);
    all
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known == word)
}

#[test]
fn a_programs_own_memory_is_switched_for_one_peer_and_for_all() {
    if !cfg!(target_os = "linux") {
        return eprintln!("LEFT OUT: what a session was started with is read from /proc");
    }
    let home = home();
    // Of the rows each goes on where the one before left it.
    for (verb, on, off) in [
        ("", false, false),
        ("off", false, true),
        ("on ann", true, false),
        ("off ann", false, true),
        ("on", false, true),
        ("default ann", true, false),
        ("default", false, false),
    ] {
        let words: Vec<&str> = ["native-memory"].into_iter().chain(verb.split_whitespace()).collect();
        home.ok("iapeer", &words);
        let (arguments, variables) = launched(&home);
        assert_eq!((has(&arguments, "remember"), has(&variables, "NO_MEMORY=1")), (on, off), "{verb:?}");
    }
    home.ok("iapeer", &["native-memory", "off", "parrot-ann"]);
    let shown = home.ok("iapeer", &["native-memory"]).stdout;
    assert_eq!(shown, "every peer: default\nann: off\n");
    let rows = home.ok("iapeer", &["native-memory", "--json"]).json_lines();
    assert_eq!(rows[1], json!({"personality": "ann", "native_memory": "off"}));
    // A person has none, and nobody is nobody.
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    assert_eq!(home.run("iapeer", &["native-memory", "off", "me"]).code, 69);
    assert_eq!(home.run("iapeer", &["native-memory", "off", "anne"]).code, 67);
    assert_eq!(home.run("iapeer", &["native-memory", "perhaps"]).code, 64);
}

#[test]
fn the_memory_slot_is_what_the_users_program_prints() {
    let home = home();
    let refused = home.run("iapeer", &["memory-plugin", "on", "ann"]);
    assert!(refused.code == 66 && refused.stderr.contains("/memory"), "{refused}");
    let program = home.root().join("memory");
    let write = |script: &str| {
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    };
    write("cat; echo; echo \"$IAPEER_PEER in $PWD\"");
    home.ok("iapeer", &["memory-plugin", "on", "ann"]);
    let prompt = |name: &str| {
        home.ok("iapeer-wake", &[name, "--fresh"]);
        let text = fs::read_to_string(home.root().join(format!("cache/iapeer/prompts/parrot-{name}.md"))).unwrap();
        home.ok("iapeer-reap", &[name, "--no-park"]);
        text.split_once("\n<!-- memory -->\n").map(|(_, slot)| slot.to_owned())
    };
    let slot = prompt("ann").unwrap();
    let who: Value = serde_json::from_str(slot.lines().next().unwrap()).unwrap();
    assert_eq!((&who["identity"], &who["cwd"]), (&json!(ANN), &json!(home.cwd("ann"))));
    assert!(slot.ends_with(&format!("\nparrot-ann in {}\n", home.cwd("ann").display())), "{slot}");
    assert_eq!(prompt("bob"), None);
    // Whatever becomes of it, the peer is started; the log says how it went.
    for (script, state, exit) in [("true", "empty", "0"), ("echo no disk >&2; exit 3", "failed", "3")] {
        write(script);
        assert_eq!(prompt("ann"), None, "{script}");
        let log = home.log("lifecycle.log");
        let last = log.iter().rfind(|line| line["ev"] == "memory-provision").unwrap();
        assert_eq!((last["state"].as_str(), last["exit"].as_str()), (state, exit), "{last:?}");
    }
    fs::remove_file(&program).unwrap();
    assert_eq!(prompt("ann"), None);
    home.ok("iapeer", &["memory-plugin", "off", "ann"]);
    let before = home.log("lifecycle.log").iter().filter(|line| line["ev"] == "memory-provision").count();
    assert_eq!(prompt("ann"), None);
    assert_eq!(home.log("lifecycle.log").iter().filter(|line| line["ev"] == "memory-provision").count(), before);
}

#[test]
fn servers_and_plugins_of_the_users_are_added_to_launches() {
    if !cfg!(target_os = "linux") {
        return eprintln!("LEFT OUT: what a session was started with is read from /proc");
    }
    let home = home();
    let servers = || {
        let path = home.root().join("cache/iapeer/launch").join(ANN).join("servers.json");
        serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["known"].clone()
    };
    let unknown = home.run("iapeer", &["enable", "notes", "ann"]);
    assert!(unknown.code == 66 && unknown.stderr.contains("servers.json"), "{unknown}");
    let known = home.home().join("servers.json");
    let definition = json!({"command": "notes", "env": {"KEY": "secret"}});
    fs::write(&known, json!({"servers": {"notes": definition}}).to_string()).unwrap();
    home.ok("iapeer", &["enable", "notes", "ann"]);
    let again = home.ok("iapeer", &["enable", "notes", "ann", "--json"]).json();
    assert_eq!(again, json!({"personality": "ann", "plugin": "notes", "action": "already"}));
    launched(&home);
    assert_eq!(servers(), json!({"iapeer": 1, "notes": definition}));
    // The profile has the name alone.
    let profile = fs::read_to_string(home.cwd("ann").join(".iapeer/peer-profile.json")).unwrap();
    assert!(profile.contains("\"notes\"") && !profile.contains("secret"), "{profile}");
    // A folder, for every peer.
    let folder = home.home().join("lint");
    fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    home.ok("iapeer", &["enable", folder]);
    let (arguments, _) = launched(&home);
    assert!(arguments.windows(2).any(|pair| pair == ["folder", folder]), "{arguments:?}");
    let shown = home.ok("iapeer", &["enable"]).stdout;
    assert_eq!(shown, format!("every peer: {folder}\nann: notes\n"));
    // What is not known any more is left out, and doctor says so with the command that ends it.
    fs::remove_file(&known).unwrap();
    launched(&home);
    assert_eq!(servers(), json!({"iapeer": 1}));
    assert!(home.log("lifecycle.log").iter().any(|line| line["ev"] == "plugin-missing" && line["plugin"] == "notes"));
    let findings = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let found = findings.iter().find(|finding| finding["what"].as_str().is_some_and(|what| what.contains("notes")));
    assert_eq!(found.unwrap()["commands"], json!(["iapeer disable notes ann"]), "{findings:?}");
    home.ok("iapeer", &["disable", "notes", "ann"]);
    let foreign = home.run("iapeer", &["disable", folder, "ann"]);
    assert!(foreign.code == 66 && foreign.stderr.contains("every peer"), "{foreign}");
    home.ok("iapeer", &["disable", folder]);
    let (arguments, _) = launched(&home);
    assert!(!has(&arguments, folder), "{arguments:?}");
    for (bad, code) in [("no such", 64), ("tool@market", 69), ("/no/such/folder", 66)] {
        assert_eq!(home.run("iapeer", &["enable", bad, "ann"]).code, code, "{bad}");
    }
}

/// As Claude Code loads no server but those it is given, a plugin's own are given to it by name.
#[test]
fn the_servers_that_a_plugin_brings_come_with_it() {
    let home = home();
    let servers = || {
        home.ok("iapeer-wake", &["ann", "--fresh"]);
        home.ok("iapeer-reap", &["ann", "--no-park"]);
        let path = home.root().join("cache/iapeer/launch").join(ANN).join("servers.json");
        serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap()["known"].clone()
    };
    let folder = home.home().join("a lint");
    fs::create_dir(&folder).unwrap();
    let own = json!({"servers": {"notes": {"command": "${PLUGIN_ROOT}/notes", "args": ["${PLUGIN_ROOT}"]}}});
    fs::write(folder.join("own.json"), own.to_string()).unwrap();
    fs::write(folder.join("about.json"), json!({"name": "lint"}).to_string()).unwrap();
    home.ok("iapeer", &["enable", folder.to_str().unwrap(), "ann"]);
    let notes = json!({"command": folder.join("notes"), "args": [folder], "env": {"PLUGIN_ROOT": folder}});
    assert_eq!(servers(), json!({"iapeer": 1, "lint.notes": notes}));
    // What can't be understood is left out, and named.
    fs::write(folder.join("own.json"), "{torn").unwrap();
    assert_eq!(servers(), json!({"iapeer": 1}));
    let logged = home.log("lifecycle.log").into_iter().find(|line| line["ev"] == "plugin-servers").unwrap();
    assert!(logged["reason"].contains("own.json can't be understood"), "{logged:?}");
    let findings = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let named =
        |finding: &&Value| finding["what"].as_str().is_some_and(|what| what.contains("own.json can't be understood"));
    assert!(findings.iter().any(|finding| named(&finding)), "{findings:?}");
    home.ok("iapeer", &["disable", folder.to_str().unwrap(), "ann"]);
    assert_eq!(servers(), json!({"iapeer": 1}));
}

/// What sessions are started by is never half read: the message waits, and doctor names the file.
#[test]
fn defaults_that_cannot_be_read_start_nothing() {
    let home = home();
    fs::write(home.root().join("launch-defaults.json"), "{torn").unwrap();
    let sent = home.ok("iapeer-send", &["ann", "--from", "bob", "--wait", "10", "--json", "-m", "x"]).json();
    assert_eq!(sent["outcome"], "queued", "{sent}");
    let findings = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let named =
        |finding: &&Value| finding["about"].as_str().is_some_and(|about| about.ends_with("launch-defaults.json"));
    let command = findings.iter().find(named).unwrap()["commands"][0].as_str().unwrap().to_owned();
    let mut shell = home.cmd("sh");
    shell.args(["-c", &command]);
    assert_eq!(home.start(shell, None).wait(support::PATIENCE).code, 0);
    // The drain of the sender is over: it would leave the message once more.
    home.at_rest(ANN);
    home.ok("iapeer-drain", &["ann"]);
    assert_eq!(home.bodies("ann"), ["x"]);
}
