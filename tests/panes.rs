//! Everything that reaches tmux is data: names of folders, titles, arguments; and the agent is addressed by its pane
//! alone, whatever a person renames, moves, splits or kills around it.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Output, TestHome, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn send(home: &TestHome, to: &str, text: &str) -> Output {
    home.run("iapeer-send", &[to, "--from", "bob", "--require", "delivered", "-m", text])
}

#[track_caller]
fn delivered(home: &TestHome, text: &str) {
    let sent = send(home, "ann", text);
    assert_eq!(sent.code, 0, "{sent}");
    home.at_rest(ANN);
}

fn format_of_pane(home: &TestHome, format: &str) -> String {
    home.tmux(ANN, &["display-message", "-p", "-t", "%0", format]).stdout.trim_end().to_owned()
}

/// Where the agent of `identity` works.
fn cwd_of(home: &TestHome, identity: &str) -> PathBuf {
    let pane = home.session_json(identity).unwrap()["pane"]["pid"].as_i64().unwrap();
    fs::read_link(format!("/proc/{pane}/cwd")).unwrap()
}

#[test]
fn a_folder_may_have_any_name() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    let names = [
        "a #[fg=red]",
        "x##[y",
        "50%d of %H",
        "end;",
        "end\\;",
        "it's \"q\" $HOME `id` ~",
        "#(touch pwned)",
        "é\tü\nn",
    ];
    for (n, name) in names.into_iter().enumerate() {
        let folder = home.dir().join("w").join(format!("p{n} {name}"));
        fs::create_dir_all(&folder).unwrap();
        let mut init = home.cmd("iapeer");
        init.args(["init", "--runtime", "parrot"]).current_dir(&folder);
        let made = home.start(init, None).wait(SOON);
        assert_eq!(made.code, 0, "{name:?}: {made}");
        let profile = fs::read(folder.join(".iapeer/peer-profile.json")).unwrap();
        let profile: serde_json::Value = serde_json::from_slice(&profile).unwrap();
        let peer = profile["personality"].as_str().unwrap();
        let sent = send(&home, peer, "hello");
        assert_eq!(sent.code, 0, "{name:?}: {sent}");
        assert_eq!(cwd_of(&home, &format!("parrot-{peer}")), folder);
    }
    for folder in [home.home(), home.dir().to_owned(), PathBuf::from("/")] {
        assert!(!folder.join("pwned").exists(), "a command in a folder's name was run");
    }
}

#[test]
fn the_root_may_have_any_name_and_its_logs_hooks_and_canaries_work() {
    let home = TestHome::new();
    let root = home.dir().join("r #(id) %d;'x=1'#[z]");
    home.set("IAPEER_ROOT", &root);
    let run = |program: &str, args: &[&str]| home.ok(program, args);
    for name in ["ann", "bob"] {
        run("iapeer", &["create", name, "--runtime", "parrot"]);
    }
    let vars = root.join("peers/ann/.iapeer/runtimes/parrot");
    fs::create_dir_all(&vars).unwrap();
    fs::write(vars.join("launch.env"), "PARROT_CRASH=idle\n").unwrap();
    run("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "one"]);
    let log = root.join("logs/lifecycle/parrot-ann.log");
    wait_until("the pane's log", SOON, || fs::metadata(&log).is_ok_and(|meta| meta.len() > 0));
    let exits = root.join("logs/iapeer/exits.log");
    wait_until("the hook's line", SOON, || {
        fs::read_to_string(&exits).is_ok_and(|text| text.contains("ev=session-exit identity=parrot-ann"))
    });
    let socket = root.join("socks/tmux-iap-parrot-bob.sock");
    run("iapeer-wake", &["bob"]);
    let killed = home.run("tmux", &["-S", socket.to_str().unwrap(), "kill-server"]);
    assert_eq!(killed.code, 0, "{killed}");
    wait_until("the canary's line", SOON, || {
        fs::read_to_string(&exits).is_ok_and(|text| text.contains("cause=killed-by-command"))
    });
    // Its processes have another root than the home looks for.
    home.run("iapeer-reap", &["parrot-ann"]);
}

#[test]
fn a_program_in_a_folder_with_an_equals_sign_is_started_and_told_apart_from_a_variable() {
    let home = home_with(&[]);
    let folder = home.dir().join("a=b;c");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("parrot;");
    let own = support::bin("iapeer-parrot");
    fs::write(&program, format!("#!/bin/sh\nexec '{}' \"$@\"\n", own.display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.set("IAPEER_PARROT_BIN", &program);
    delivered(&home, "one");
    assert_eq!(home.bodies("ann"), ["one"]);
}

#[test]
fn arguments_longer_than_a_message_to_tmux_arrive_whole() {
    let home = home_with(&[]);
    let seen = home.dir().join("seen");
    let program = home.dir().join("parrot.sh");
    let own = support::bin("iapeer-parrot");
    let script = "for word; do last=$word; done; printf %s \"$last\" > \"$SEEN\"";
    fs::write(&program, format!("#!/bin/sh\n{script}\nexec '{}'\n", own.display())).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.set("IAPEER_PARROT_BIN", &program);
    let long = "x'$;#".repeat(6_000);
    home.launch_env("ann", &[("SEEN", seen.to_str().unwrap()), ("PEER_START_ARGS", &long)]);
    delivered(&home, "one");
    assert!(fs::read_to_string(&seen).unwrap() == long);
    assert!(!home.state(ANN, "deaths"));
}

#[test]
fn a_name_too_long_for_tmux_is_said_and_is_no_death() {
    let home = home_with(&[]);
    let mut root = home.dir().to_owned();
    while root.as_os_str().len() < 3_900 {
        root.push("x".repeat(150));
    }
    home.set("IAPEER_SOCK_DIR", home.dir().join("s")).set("IAPEER_ROOT", &root);
    for name in ["ann", "bob"] {
        home.ok("iapeer", &["create", name, "--runtime", "parrot"]);
    }
    let woken = home.run("iapeer-wake", &["ann"]);
    assert_eq!(woken.code, 78, "{woken}");
    assert!((woken.stdout.clone() + &woken.stderr).contains("shorten the folders' names"), "{woken}");
    assert!(!root.join("state/lifecycle/parrot-ann.deaths").exists());
}

#[test]
fn whatever_is_renamed_or_moved_the_agent_is_found() {
    let home = home_with(&[]);
    delivered(&home, "first");
    let acts: [(&str, Vec<&[&str]>); 6] = [
        ("rename-session", vec![&["rename-session", "-t", "%0", "parrot-bob"]]),
        ("rename-window", vec![&["rename-window", "-t", "%0", "client|9|0|x"]]),
        ("split and break", vec![&["split-window", "-d", "-t", "%0", "sleep 600"], &["break-pane", "-d", "-s", "%0"]]),
        ("join", vec![&["new-window", "-d", "sleep 600"], &["join-pane", "-d", "-s", "%0", "-t", "%2"]]),
        ("swap", vec![&["swap-pane", "-d", "-s", "%0", "-t", "%2"]]),
        (
            "move to another session",
            vec![&["new-session", "-d", "-s", "own", "sleep 600"], &["join-pane", "-d", "-s", "%0", "-t", "own:"]],
        ),
    ];
    for (what, commands) in acts {
        for words in commands {
            let done = home.tmux(ANN, words);
            assert_eq!(done.code, 0, "{what}: {done}");
        }
        delivered(&home, what);
    }
    assert_eq!(home.bodies("ann").len(), 7);
    assert!(!home.state(ANN, "deaths") && home.session_json(ANN).unwrap()["pane_id"] == "%0");
}

#[test]
fn titles_that_look_like_our_own_lines_change_nothing() {
    let home = home_with(&[]);
    delivered(&home, "first");
    for title in ["screen", "client|9|0|/dev/pts/9", "end-of-survey iap-1-0", "#{pid}|#(id)", "%H%d"] {
        home.tmux(ANN, &["select-pane", "-t", "%0", "-T", title]);
        delivered(&home, title);
    }
    assert_eq!(home.bodies("ann").len(), 6);
}

#[test]
fn every_mode_of_tmuxs_is_left_for_a_message() {
    let home = home_with(&[]);
    delivered(&home, "first");
    home.tmux(ANN, &["set-buffer", "-b", "x", "y"]);
    let modes: [(&str, &[&str]); 6] = [
        ("copy-mode", &["copy-mode", "-t", "%0"]),
        ("clock-mode", &["clock-mode", "-t", "%0"]),
        ("tree-mode", &["choose-tree", "-t", "%0"]),
        ("buffer-mode", &["choose-buffer", "-t", "%0"]),
        ("options-mode", &["customize-mode", "-t", "%0"]),
        ("view-mode", &["run-shell", "-t", "%0", "echo one; echo two"]),
    ];
    for (mode, words) in modes {
        home.tmux(ANN, words);
        wait_until(mode, SOON, || format_of_pane(&home, "#{pane_mode}") == mode);
        delivered(&home, mode);
    }
    // Two, one above the other.
    home.tmux(ANN, &["copy-mode", "-t", "%0", ";", "choose-tree", "-t", "%0"]);
    delivered(&home, "both");
    assert_eq!(home.bodies("ann").len(), 8);
}

#[test]
fn a_pane_whose_input_is_disabled_is_typed_into_all_the_same_and_other_panes_are_not() {
    let home = home_with(&[]);
    delivered(&home, "first");
    home.tmux(ANN, &["select-pane", "-d", "-t", "%0"]);
    delivered(&home, "input was off");
    assert_eq!(format_of_pane(&home, "#{pane_input_off}"), "0");
    // A person's pane, with what is typed going into all panes of the window.
    let other = home.dir().join("other");
    home.tmux(ANN, &["split-window", "-d", "-t", "%0", &format!("echo ready >{0}; cat >>{0}", other.display())]);
    wait_until("the person's program", SOON, || other.exists());
    home.tmux(ANN, &["set-option", "-w", "-t", "%0", "synchronize-panes", "on"]);
    delivered(&home, "joined panes");
    home.tmux(ANN, &["send-keys", "-t", "%1", "mine", "Enter"]);
    wait_until("what the person types", SOON, || fs::read_to_string(&other).unwrap().contains("mine"));
    assert_eq!(fs::read_to_string(&other).unwrap(), "ready\nmine\n");
    assert_eq!(home.bodies("ann"), ["first", "input was off", "joined panes"]);
}

#[test]
fn a_killed_pane_is_a_death_that_is_noticed_at_once_though_a_persons_pane_lives_on() {
    let home = home_with(&[]);
    delivered(&home, "one");
    home.tmux(ANN, &["split-window", "-d", "-t", "%0", "sleep 600"]);
    home.tmux(ANN, &["kill-pane", "-t", "%0"]);
    wait_until("the canary to have it cleared away", SOON, || !home.state(ANN, "session"));
    let exit = home.log("exits.log").pop().unwrap();
    assert_eq!((exit["ev"].as_str(), exit["dead_status"].as_str()), ("session-exit", "unknown"));
    delivered(&home, "two");
    assert_eq!(home.bodies("ann"), ["one", "two"]);
}

#[test]
fn a_program_that_outlives_its_pane_keeps_nobody_from_being_woken() {
    let home = home_with(&[("PARROT_IGNORE_HUP", "1")]);
    home.set("IAPEER_END_GRACE_SECS", "0.2");
    delivered(&home, "one");
    let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
    home.tmux(ANN, &["split-window", "-d", "-t", "%0", "sleep 600"]);
    home.tmux(ANN, &["kill-pane", "-t", "%0"]);
    assert!(Path::new(&format!("/proc/{pane}")).exists(), "it ignores the hang-up");
    let sent = home.run("iapeer-send", &["ann", "--from", "bob", "-m", "two"]);
    assert_eq!(sent.code, 0, "{sent}");
    wait_until("the delivery", SOON, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("ann") == ["one", "two"]
    });
}
