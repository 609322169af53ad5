//! The front's verbs over the registry and the logs (spec 13, 16).

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn profile(cwd: &Path) -> Value {
    serde_json::from_slice(&fs::read(cwd.join(".iapeer/peer-profile.json")).unwrap()).unwrap()
}

fn change_profile(cwd: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = profile(cwd);
    change(&mut value);
    fs::write(cwd.join(".iapeer/peer-profile.json"), value.to_string()).unwrap();
}

fn send(home: &TestHome, to: &str, text: &str) {
    home.ok("iapeer-send", &[to, "--from", "bob", "--require", "delivered", "-m", text]);
}

#[test]
fn rename_moves_folder_card_record_and_queue_and_purges_the_old_state() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    send(&home, "ann", "one");
    let refused = home.run("iapeer", &["rename", "ann", "eve"]);
    assert!(refused.code == 69 && refused.stderr.contains("LIVE"), "{refused}");
    home.ok("iapeer-reap", &["parrot-ann"]);
    // A message that waits goes along.
    let old = home.cwd("ann");
    change_profile(&old, |profile| profile["zzz"] = json!(7));
    home.ok("iapeer", &["stop", "ann"]);
    let queue = home.state_dir().join("parrot-ann.queue");
    fs::write(queue.join("000009"), json!({"task": "kept"}).to_string()).unwrap();
    let out = home.ok("iapeer", &["rename", "ann", "Eve"]).stdout;
    assert!(out.starts_with("renamed \"ann\" to \"eve\"; folder moved: "), "{out}");
    let new = home.cwd("eve");
    assert!(!old.exists() && new.ends_with("peers/eve"));
    assert_eq!((&profile(&new)["personality"], &profile(&new)["zzz"]), (&json!("eve"), &json!(7)));
    let left: Vec<String> = fs::read_dir(home.state_dir())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("parrot-ann.") && !name.ends_with("lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(home.root().join("state/due/parrot-eve").exists(), "no tick would look at it");
    home.ok("iapeer", &["start", "eve"]);
    wait_until("what waited", SOON, || home.bodies("ann").contains(&"kept".to_owned()));
    assert_eq!(home.run("iapeer-send", &["ann", "--from", "bob", "-m", "x"]).code, 67);
}

fn cause_of_the_last_wake(home: &TestHome, name: &str) -> String {
    let lines = home.log("lifecycle.log");
    let mut wakes = lines.iter().filter(|line| {
        let is = |key: &str, value: &str| line.get(key).is_some_and(|there| there == value);
        is("ev", "wake") && is("personality", name)
    });
    wakes.next_back().and_then(|line| line.get("cause").cloned()).unwrap_or_default()
}

#[test]
fn rename_resumes_the_conversation_where_the_folder_stays() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    let dir = home.home().join("ann");
    home.ok("iapeer", &["create", "ann", "--runtime", "parrot", "--path", dir.to_str().unwrap()]);
    send(&home, "ann", "one");
    let renamed = home.ok("iapeer", &["rename", "ann", "eve", "--force", "--json"]).json();
    assert_eq!(renamed["forgets"], json!([]));
    send(&home, "eve", "two");
    assert_eq!(cause_of_the_last_wake(&home, "eve"), "idle-reaped-resume");
}

#[test]
fn rename_says_that_a_conversation_stays_with_the_old_folder_and_the_wake_says_why_it_is_fresh() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    send(&home, "ann", "one");
    let out = home.ok("iapeer", &["rename", "ann", "eve", "--force"]).stdout;
    assert!(out.contains("parrot-eve: its conversation stays with the old folder, the next session is fresh"), "{out}");
    let attached = home.run("iapeer", &["attach", "eve"]);
    assert!(attached.code != 0 && attached.stderr.contains("no transcript to resume"), "{attached}");
    send(&home, "eve", "two");
    assert_eq!(cause_of_the_last_wake(&home, "eve"), "idle-reaped-no-resume");
}

#[test]
fn rename_never_takes_up_what_an_earlier_peer_of_that_name_said() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.ok("iapeer", &["create", "claude-peer", "--runtime", "claude"]);
    let new = fs::canonicalize(home.root().join("peers")).unwrap().join("eve");
    let slug = new.to_string_lossy().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let left = home.home().join(".claude/projects").join(slug);
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("theirs.jsonl"), "{}\n").unwrap();
    fs::write(home.state_dir().join("claude-claude-peer.idle-reaped"), "\n").unwrap();
    home.ok("iapeer", &["rename", "claude-peer", "eve"]);
    assert!(!home.state("claude-eve", "idle-reaped"), "a wake would resume another's conversation");
}

#[test]
fn rename_is_all_or_nothing() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    for (args, code) in
        [(["rename", "nobody", "eve"], 67), (["rename", "ann", "bob"], 69), (["rename", "ann", "7"], 64)]
    {
        assert_eq!(home.run("iapeer", &args).code, code, "{args:?}");
    }
    // The queue can't move over a folder that appears: everything is taken back.
    let cwd = home.cwd("ann");
    let before = (profile(&cwd), fs::read(home.root().join("peers-profiles.json")).unwrap());
    fs::create_dir(home.root().join("peers/eve")).unwrap();
    assert_eq!(home.run("iapeer", &["rename", "ann", "eve"]).code, 69);
    fs::remove_dir(home.root().join("peers/eve")).unwrap();
    // The folder has moved and the card is changed when a mark can't go along.
    home.ok("iapeer", &["stop", "ann"]);
    let taken = home.state_dir().join("parrot-eve.stopped");
    fs::create_dir(&taken).unwrap();
    assert_eq!(home.run("iapeer", &["rename", "ann", "eve"]).code, 74);
    fs::remove_dir(&taken).unwrap();
    assert!(cwd.is_dir() && !home.root().join("peers/eve").exists() && home.state("parrot-ann", "stopped"));
    assert_eq!((profile(&cwd), fs::read(home.root().join("peers-profiles.json")).unwrap()), before);
}

#[test]
fn rename_refuses_a_card_that_is_missing_or_another_s() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let cwd = home.cwd("ann");
    let card = cwd.join(".iapeer/peer-profile.json");
    let refused = |words: &[&str]| {
        let refused = home.run("iapeer", &["rename", "ann", "eve"]);
        assert!(refused.code == 78 && words.iter().all(|word| refused.stderr.contains(word)), "{refused}");
        assert!(cwd.is_dir() || cwd.with_extension("away").is_dir());
    };
    change_profile(&cwd, |profile| profile["personality"] = json!("zed"));
    refused(&["registry out of sync", "zed"]);
    fs::write(&card, "{ torn").unwrap();
    refused(&["not valid JSON"]);
    fs::remove_file(&card).unwrap();
    refused(&["has no .iapeer/peer-profile.json", "iapeer init"]);
    fs::rename(&cwd, cwd.with_extension("away")).unwrap();
    refused(&["is gone", "iapeer remove ann"]);
}

#[test]
fn rename_takes_along_what_an_operator_has_said() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    home.ok("iapeer", &["refresh", "ann"]);
    home.ok("iapeer", &["stop", "ann"]);
    home.ok("iapeer", &["rename", "ann", "eve"]);
    assert!(home.state("parrot-eve", "stopped") && home.state("parrot-eve", "refresh"));
    assert!(!home.state("parrot-ann", "stopped") && !home.state("parrot-ann", "refresh"));
    let refused = home.run("iapeer-send", &["eve", "--from", "bob", "-m", "x"]);
    assert!(refused.code == 69 && refused.stderr.contains("iapeer start eve"), "{refused}");
}

#[test]
fn a_verb_for_all_of_a_peer_takes_no_single_runtime() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.ok("iapeer", &["add-runtime", "claude", "--peer", "ann"]);
    for args in [&["remove", "claude-ann", "--force"][..], &["rename", "claude-ann", "eve"]] {
        let refused = home.run("iapeer", args);
        assert!(refused.code == 64 && refused.stderr.contains("(parrot, claude)"), "{refused}");
    }
    let undeclared = home.run("iapeer", &["remove", "codex-ann", "--force"]);
    assert!(undeclared.code == 64 && undeclared.stderr.contains("declared: parrot, claude"), "{undeclared}");
    home.parrot("bob", &[]);
    home.ok("iapeer", &["remove", "parrot-bob"]);
    assert_eq!(home.ok("iapeer", &["list", "--json"]).json()["personality"], "ann");
}

#[test]
fn of_two_who_create_one_name_in_two_folders_one_is_refused_and_leaves_nothing() {
    let home = TestHome::new();
    let dirs = ["x", "y"].map(|dir| home.home().join(dir).join("ann"));
    let tries = dirs
        .each_ref()
        .map(|dir| home.spawn("iapeer", &["create", "ann", "--runtime", "parrot", "--path", dir.to_str().unwrap()]));
    let said = tries.map(|one| one.wait(SOON));
    let mut codes = said.each_ref().map(|one| one.code);
    codes.sort();
    assert_eq!(codes, [0, 69], "{said:?}");
    let refused = usize::from(said[1].code != 0);
    assert!(said[refused].stderr.contains("lives in"), "{said:?}");
    assert!(!dirs[refused].exists() && home.cwd("ann") == dirs[1 - refused]);
}

#[test]
fn a_rename_and_a_create_at_once_leave_each_name_once() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let both = [&["rename", "ann", "eve"][..], &["create", "eve", "--runtime", "parrot"]];
    let _ = both.map(|args| home.spawn("iapeer", args)).map(|one| one.wait(SOON));
    home.ok("iapeer", &["verify"]);
    let listed = home.ok("iapeer", &["list", "--json"]).json_lines();
    assert!(listed.iter().filter(|peer| peer["personality"] == "eve").count() == 1, "{listed:?}");
    assert!(listed.iter().all(|peer| Path::new(peer["cwd"].as_str().unwrap()).is_dir()), "{listed:?}");
}

#[test]
fn create_over_a_peer_keeps_to_its_nature() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("ann", &[]);
    let before = profile(&home.cwd("ann"));
    for more in [&[][..], &["--intelligence", "natural"]] {
        let refused = home.run("iapeer", &[&["create", "ann", "--runtime", "telegram"], more].concat());
        assert!(refused.code == 64 && refused.stderr.contains("can't be of intelligence"), "{refused}");
    }
    assert_eq!(profile(&home.cwd("ann")), before);
    home.ok("iapeer", &["create", "bridge", "--runtime", "telegram", "--intelligence", "absent"]);
    home.ok("iapeer", &["create", "bridge", "--runtime", "notifier"]);
}

#[test]
fn create_says_what_is_cut_and_what_is_not_there_and_refuses_a_folder_it_can_not_write_down() {
    use std::os::unix::ffi::OsStrExt;
    let home = TestHome::new();
    let long = "é".repeat(451);
    let cut = home.ok("iapeer", &["create", "ann", "--runtime", "parrot", "--description", &long]);
    assert!(cut.stderr.contains("description exceeded 450 chars and was truncated"), "{cut}");
    let whole = home.ok("iapeer", &["create", "bob", "--runtime", "parrot", "--description", &long[2..]]);
    assert_eq!(whole.stderr, "");

    let unnamed = home.run("iapeer", &["create", "eve", "--runtime", "parrot", "--path", "/"]);
    assert!(unnamed.code == 64 && !Path::new("/.iapeer").exists(), "{unnamed}");
    let odd = home.home().join(std::ffi::OsStr::from_bytes(b"eve\xff"));
    let mut create = home.cmd("iapeer");
    create.args(["create", "eve", "--runtime", "parrot", "--path"]).arg(&odd);
    let refused = home.start(create, None).wait(SOON);
    assert!(refused.code == 65 && refused.stderr.contains("UTF-8") && !odd.exists(), "{refused}");

    home.set("PATH", "/usr/bin:/bin").set("IAPEER_CLAUDE_BIN", "/nonexistent/claude");
    let missing = home.ok("iapeer", &["create", "carl", "--runtime", "claude"]);
    assert!(missing.stderr.contains("/nonexistent/claude"), "{missing}");
}

#[test]
fn rename_force_ends_a_live_session_and_a_folder_elsewhere_stays() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    let dir = home.home().join("ann");
    home.ok("iapeer", &["create", "ann", "--runtime", "parrot", "--path", dir.to_str().unwrap()]);
    send(&home, "ann", "one");
    home.ok("iapeer", &["rename", "ann", "eve", "--force"]);
    assert_eq!(home.server_pid("parrot-ann"), None);
    assert_eq!(home.cwd("eve"), dir);
    send(&home, "eve", "two");
}

#[test]
fn verify_finds_errors_and_drift_and_fix_mends_the_drift() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    assert_eq!(home.ok("iapeer", &["verify"]).stdout, "2 peers · 0 error(s) · 0 index↔local drift(s)\n");
    change_profile(&home.cwd("ann"), |profile| profile["description"] = json!("new words"));
    let drifted = home.run("iapeer", &["verify"]);
    assert!(drifted.code == 78 && drifted.stdout.contains("↯ ann: index↔local drift on description"), "{drifted}");
    let fixed = home.ok("iapeer", &["verify", "--fix"]).stdout;
    assert!(fixed.contains("self-healed index from local profiles: ann"), "{fixed}");
    home.ok("iapeer", &["verify"]);

    change_profile(&home.cwd("ann"), |profile| {
        profile.as_object_mut().unwrap().remove("default_runtime");
        profile["runtime"] = json!("parrot");
    });
    let fixed = home.ok("iapeer", &["verify", "--fix"]).stdout;
    assert!(fixed.contains("migrated runtime→default_runtime: ann"), "{fixed}");
    assert_eq!(profile(&home.cwd("ann"))["default_runtime"], "parrot");

    change_profile(&home.cwd("bob"), |profile| profile["intelligence"] = json!("alien"));
    let bad = home.run("iapeer", &["verify", "--json"]);
    assert_eq!((bad.code, bad.json()["errors"].clone()), (78, json!(1)));
    assert_eq!(bad.json()["peers"][1]["issues"][0]["field"], "intelligence");
    assert_eq!(home.run("iapeer", &["verify", "--fix"]).code, 78);
    // A card that can't be read at all is that peer's error, and no other's.
    let card = home.cwd("ann").join(".iapeer/peer-profile.json");
    let good = fs::read(&card).unwrap();
    fs::remove_file(&card).unwrap();
    fs::create_dir(&card).unwrap();
    let unreadable = home.run("iapeer", &["verify", "--fix", "--json"]);
    assert_eq!((unreadable.code, unreadable.json()["errors"].clone()), (78, json!(2)), "{unreadable}");
    assert_eq!(unreadable.json()["peers"][0]["issues"][0]["field"], "<root>");
    fs::remove_dir(&card).unwrap();
    fs::write(&card, good).unwrap();
    fs::remove_file(home.cwd("bob").join(".iapeer/peer-profile.json")).unwrap();
    let missing = home.ok("iapeer", &["verify"]);
    assert!(missing.stderr.contains("no local profile (left untouched): bob"), "{missing}");
}

#[test]
fn verify_fix_says_what_it_can_not_mend() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    change_profile(&home.cwd("ann"), |profile| profile["personality"] = json!("zed"));
    let left = home.run("iapeer", &["verify", "--fix"]);
    assert!(left.code == 78 && left.stderr.contains("ann is left as it is") && left.stderr.contains("zed"), "{left}");
    let left = home.run("iapeer", &["verify", "--fix", "--json"]).json();
    assert_eq!(left["reconcile"]["left"][0]["personality"], "ann");
}

#[test]
fn add_runtime_and_default_runtime_change_profile_and_registry() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let verb = |args: &[&str]| home.run("iapeer", args);
    let undeclared = verb(&["default-runtime", "claude", "--peer", "ann"]);
    assert!(undeclared.code == 69 && undeclared.stdout.starts_with("ann: refused-undeclared-runtime"), "{undeclared}");
    assert_eq!(verb(&["add-runtime", "claude", "--peer", "ann"]).stdout, "ann: added\n");
    assert_eq!(verb(&["add-runtime", "claude", "--all"]).stdout, "ann: already\n");
    assert_eq!(profile(&home.cwd("ann"))["default_runtime"], "parrot");
    assert_eq!(verb(&["default-runtime", "claude", "--peer", "ann"]).stdout, "ann: flipped\n");
    assert_eq!(verb(&["default-runtime", "claude", "--peer", "ann"]).stdout, "ann: already\n");
    let listed = home.ok("iapeer", &["list", "--json"]).json();
    assert_eq!(listed["default_runtime"], "claude");
    assert_eq!(listed["runtimes"].as_array().unwrap().len(), 2);
    assert_eq!(verb(&["add-runtime", "telegram", "--peer", "ann"]).stdout, "ann: skipped-infra-peer\n");
    assert_eq!(verb(&["add-runtime", "claude", "--peer", "nobody"]).code, 67);
    assert_eq!(verb(&["add-runtime", "claude"]).code, 64);
    // A socket that fits for one runtime may not for a longer one.
    let fill =
        iapeer::base::paths::SOCKET_PATH_MAX - 1 - "/tmux-iap-parrot-ann.sock".len() - home.dir().as_os_str().len();
    let socks = home.dir().join("s".repeat(fill));
    home.set("IAPEER_SOCK_DIR", socks.as_os_str());
    let long = home.root().join("runtimes/longestever/runtime.json");
    fs::create_dir_all(long.parent().unwrap()).unwrap();
    let parrot = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib/runtime/builtin/parrot.json");
    let text = fs::read_to_string(parrot).unwrap().replacen("\"parrot\"", "\"longestever\"", 1);
    fs::write(&long, text).unwrap();
    let refused = verb(&["add-runtime", "longestever", "--peer", "ann"]);
    assert!(refused.code == 78 && refused.stdout.contains("IAPEER_SOCK_DIR"), "{refused}");
    home.unset("IAPEER_SOCK_DIR");
    home.ok("iapeer", &["verify"]);
}

#[test]
fn version_is_the_bare_version() {
    assert_eq!(TestHome::new().ok("iapeer", &["version"]).stdout, concat!(env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn status_tells_tick_sessions_queues_and_unwatched_servers() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    let before = home.ok("iapeer", &["status", "--json"]).json();
    assert_eq!((before["ticking"].clone(), before["peers"].clone()), (json!(false), json!(2)));
    send(&home, "ann", "hello");
    home.ok("iapeer", &["stop", "bob"]);
    home.ok("iapeer-superviser", &[]);
    let seen = home.ok("iapeer", &["status", "--json"]).json();
    assert_eq!(
        (&seen["ticking"], &seen["live"], &seen["stopped"]),
        (&json!(true), &json!(["parrot-ann"]), &json!(["parrot-bob"]))
    );
    let text = home.ok("iapeer", &["status"]).stdout;
    assert!(
        text.contains("peers: 2, live 1: parrot-ann")
            && text.contains("queues: 0 waiting, 0 in flight, 0 dead, 0 corrupt"),
        "{text}"
    );
}

#[test]
fn logs_reach_as_far_back_as_there_are_files_and_go_by_time() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let logs = home.root().join("logs/iapeer");
    let put = |name: &str, lines: &[&str]| fs::write(logs.join(name), lines.join("\n") + "\n").unwrap();
    put("lifecycle.log.12", &["ts=2026-01-01T00:00:01.000Z ev=a personality=gone"]);
    put("lifecycle.log.2", &["ts=2026-01-01T00:00:02.000Z ev=b"]);
    put("lifecycle.log", &["ts=2026-01-01T00:00:03.999Z ev=c", "ts=2026-01-01T00:00:04.438Z ev=e"]);
    put("exits.log", &["ts=2026-01-01T00:00:04Z ev=d", "ts=2026-01-01T00:00:05Z ev=f"]);
    let seen = |words: &[&str]| -> Vec<String> {
        let lines = home.ok("iapeer", &[&["logs", "--json"], words].concat()).json_lines();
        lines.iter().map(|line| line["ev"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(seen(&[]), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(seen(&["--since", "2026-01-01T00:00:04Z"]), ["d", "e", "f"]);
    assert_eq!(seen(&["gone"]), ["a"]);
    let nobody = home.run("iapeer", &["logs", "nobody"]);
    assert!(nobody.code == 67 && nobody.stderr.contains("iapeer create nobody"), "{nobody}");
    assert_eq!(home.run("iapeer", &["logs", "-f", "nobody"]).code, 67);
    assert!(seen(&["ann"]).is_empty());
}

#[test]
fn logs_are_merged_filtered_and_followed() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    home.parrot("eve", &[]);
    send(&home, "ann", "hello");
    let lines = home.ok("iapeer", &["logs", "ann", "--json"]).json_lines();
    let order: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["log"].as_str().unwrap(), line["ev"].as_str().unwrap())).collect();
    let wake = order.iter().position(|line| *line == ("lifecycle", "wake")).unwrap();
    let delivery = order.iter().position(|line| *line == ("delivery", "delivery")).unwrap();
    assert!(wake < delivery, "{order:?}");
    assert_eq!(home.ok("iapeer", &["logs", "eve"]).stdout, "");
    assert_eq!(home.ok("iapeer", &["logs", "--since", "2999-01-01T00:00:00Z"]).stdout, "");
    assert!(!home.ok("iapeer", &["logs", "--since", "1h"]).stdout.is_empty());
    assert_eq!(home.run("iapeer", &["logs", "--since", "soon"]).code, 64);
    let follow = home.spawn("iapeer", &["logs", "-f", "ann"]);
    wait_until("what is there", SOON, || follow.stdout().contains("ev=delivery"));
    home.ok("iapeer", &["stop", "ann"]);
    wait_until("what comes", SOON, || follow.stdout().contains("ev=stop"));
    assert!(follow.stdout().lines().all(|line| line.starts_with("ts=")));
}
