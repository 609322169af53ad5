//! What is refused, with which code, in which words; and that nothing is kept of it.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::os::unix::fs::{PermissionsExt, chown};
use support::{Output, TestHome};

fn home() -> TestHome {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[]);
    home
}

#[track_caller]
fn send(home: &TestHome, args: &[&str], body: &[u8]) -> Output {
    home.run_with("iapeer-send", &[&["--from", "alice"], args].concat(), body)
}

#[track_caller]
fn refused(home: &TestHome, output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{output}");
    assert_eq!(output.stdout, "", "{output}");
    assert_eq!(output.stderr.lines().count(), 1, "one line: {output}");
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} in {output}");
    }
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0), "nothing is kept");
}

#[test]
fn an_unknown_peer_is_67() {
    let home = home();
    refused(&home, &send(&home, &["nobody"], b"x"), 67, &["nobody", "iapeer create"]);
    refused(&home, &home.run("iapeer-send", &["bob", "--from", "eve", "-m", "x"]), 67, &["eve"]);
    refused(&home, &send(&home, &["big-bob"], b"x"), 67, &["big-bob"]);
}

#[test]
fn a_runtime_that_a_peer_does_not_declare_is_64_and_says_which_it_does() {
    let home = home();
    let hints = ["codex", "declared: parrot", "iapeer add-runtime codex --peer bob"];
    for args in [
        ["iapeer-send", "--from", "alice", "-m", "x", "codex-bob"].as_slice(),
        &["iapeer-wake", "codex-bob"],
        &["iapeer", "stop", "codex-bob"],
    ] {
        refused(&home, &home.run(args[0], &args[1..]), 64, &hints);
    }
    let caller = home.run("iapeer-send", &["alice", "--from", "codex-bob", "-m", "x"]);
    refused(&home, &caller, 64, &[&hints[..], &["is not declared for caller \"bob\""]].concat());
}

#[test]
fn nobody_acts_under_another_name_than_peer_personality_says() {
    let home = home();
    let within = |dir: &str, program: &str, args: &[&str], personality: &str| {
        let mut command = home.cmd(program);
        command.args(args).current_dir(home.cwd(dir)).env("PEER_PERSONALITY", personality);
        home.start(command, None).wait(std::time::Duration::from_secs(60))
    };
    let said = ["PEER_PERSONALITY", "mallory", "alice"];
    refused(&home, &within("alice", "iapeer-send", &["bob", "-m", "x"], "mallory"), 78, &said);
    refused(&home, &within("alice", "iapeer", &["init"], "mallory"), 78, &said);
    for same in ["alice", " Alice ", ""] {
        assert_eq!(within("alice", "iapeer", &["init"], same).code, 0, "{same:?}");
        assert_eq!(within("alice", "iapeer-send", &["bob", "--no-wait", "-m", "x"], same).code, 0, "{same:?}");
    }
    assert_eq!(within("alice", "iapeer", &["create", "carl", "--runtime", "parrot"], "mallory").code, 0);
}

#[test]
fn a_name_in_another_script_means_the_same_to_every_program() {
    let home = home();
    let folder = home.cwd("alice");
    let profile = folder.join(".iapeer/peer-profile.json");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("\"alice\"", "\"Älice\"")).unwrap();
    let as_said = |program: &str, personality: &str| {
        let mut command = home.cmd(program);
        command.args(["bob", "--no-wait", "-m", "x"]).current_dir(&folder).env("PEER_PERSONALITY", personality);
        home.start(command, None).wait(std::time::Duration::from_secs(60))
    };
    refused(&home, &as_said("iapeer-send", "Мэллори"), 78, &["PEER_PERSONALITY", "Мэллори", "alice"]);
    // Without the rest of the set beside it no program can tell.
    let lone = home.home().join("iapeer-send");
    std::fs::copy(support::bin("iapeer-send"), &lone).unwrap();
    let alone = as_said(&lone.to_string_lossy(), "");
    assert!(alone.code == 78 && alone.stdout.is_empty(), "{alone}");
    assert!(alone.stderr.contains("Älice") && alone.stderr.contains("make install"), "{alone}");
    let sent = as_said("iapeer-send", "Älice");
    assert!(sent.code == 0 && sent.stderr.is_empty(), "{sent}");
}

#[test]
fn a_test_run_leaves_the_user_s_own_root_and_units_alone() {
    let home = TestHome::new();
    home.set("IAPEER_TEST_SANDBOX", "1").set("IAPEER_ROOT", "  ");
    for args in [["create", "ann", "--runtime", "parrot"].as_slice(), &["stop", "--all"], &["doctor", "--fix"]] {
        let output = home.run("iapeer", args);
        assert!(output.code == 77 && output.stderr.contains("REAL registry"), "{output}");
    }
    assert_eq!(std::fs::read_dir(home.home()).unwrap().count(), 0);
    home.set("IAPEER_ROOT", home.root());
    home.ok("iapeer", &["create", "ann", "--runtime", "parrot"]);
    for verb in ["install", "uninstall"] {
        let output = home.run("iapeer", &["units", verb]);
        assert!(output.code == 69 && output.stdout.contains("skipped-sandbox"), "{output}");
    }
    assert_eq!(std::fs::read_dir(home.home()).unwrap().count(), 0);
    home.set("IAPEER_SYSTEMD_USER_DIR", home.dir().join("units"));
    home.set("IAPEER_LAUNCHAGENTS_DIR", home.dir().join("units"));
    let output = home.run("iapeer", &["units", "install"]);
    assert!(
        output.code == 69 && output.stdout.contains("written") && output.stdout.contains("not-started"),
        "{output}"
    );
}

#[test]
fn what_waits_for_nobody_is_not_looked_for() {
    let home = home();
    for how in ["--list", "--dry-run"] {
        refused(&home, &home.run("iapeer-drain", &[how, "parrot-nobody"]), 67, &["nobody", "iapeer create"]);
        assert_eq!(home.ok("iapeer-drain", &[how, "parrot-bob"]).stdout, "", "known, and nothing waits");
    }
}

#[test]
fn a_stopped_peer_is_69_until_it_is_started() {
    let home = home();
    home.ok("iapeer", &["stop", "bob"]);
    refused(&home, &send(&home, &["bob"], b"x"), 69, &["stopped", "iapeer start bob"]);
    assert!(home.ok("iapeer", &["list"]).stdout.contains("stopped"));
    assert_eq!(home.ok("iapeer-drain", &["parrot-bob"]).stdout, "", "nothing is held back");
    let queue = home.state_dir().join("parrot-bob.queue");
    std::fs::create_dir_all(&queue).unwrap();
    std::fs::write(queue.join("000001"), r#"{"task":"held back"}"#).unwrap();
    let drained = home.ok("iapeer-drain", &["parrot-bob"]).stdout;
    assert_eq!(drained, "parrot-bob: stopped, 1 waiting: `iapeer start bob` has them delivered\n");
    assert_eq!(home.ok("iapeer-drain", &["--all", "--json"]).json()["outcome"], "stopped");
    home.ok("iapeer", &["start", "bob"]);
    assert_eq!(send(&home, &["bob"], b"x").code, 0);
}

#[test]
fn bad_bodies_are_65() {
    let home = home();
    let long = "x".repeat(16_001);
    for (body, word) in [
        (long.as_bytes(), "16000"),
        (&b"a\0b"[..], "U+0000"),
        (b"a\x1b[31mb", "U+001B"),
        (b"a\rb", "carriage return"),
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\xff\xfe", "UTF-8"),
    ] {
        refused(&home, &send(&home, &["bob"], body), 65, &[word]);
    }
    let topic = "t".repeat(201);
    refused(&home, &send(&home, &["bob", "--topic", &topic], b"x"), 65, &["200"]);
    refused(&home, &home.run("iapeer-wake", &["bob", "--topic", &topic]), 65, &["200"]);
}

#[test]
fn missing_files_are_66_and_a_wrong_command_line_64() {
    let home = home();
    refused(&home, &send(&home, &["bob", "-f", "/nonexistent"], b""), 66, &["/nonexistent"]);
    refused(&home, &send(&home, &["bob", "--attach", "/nonexistent"], b"x"), 66, &["/nonexistent"]);
    refused(&home, &send(&home, &["bob", "--attach", "relative"], b"x"), 65, &["absolute"]);
    refused(&home, &home.run_with("iapeer-send", &["bob"], b"x"), 64, &["--from", "PEER_IDENTITY"]);
    // A name as somebody writes it is a name: it is nobody's. What gives no name is a wrong command line.
    refused(&home, &send(&home, &["B b"], b"x"), 67, &["b-b"]);
    refused(&home, &send(&home, &["!?"], b"x"), 64, &["!?"]);
    assert_eq!(send(&home, &["bob", "--nonsense"], b"x").code, 64);
    for words in [&[][..], &["--dry-run"]] {
        refused(&home, &home.run("iapeer-drain", words), 64, &["--all"]);
        send(&home, &["bob", "--require", "delivered"], b"a queue from now on");
    }
    let help = home.run("iapeer-send", &["--help"]);
    assert!(help.code == 0 && help.stdout.contains("Usage"), "{help}");
}

#[test]
fn without_tmux_it_is_69_at_once_and_says_how_to_get_it() {
    let home = home();
    let empty = home.dir().join("empty");
    std::fs::create_dir(&empty).unwrap();
    home.set("PATH", empty.as_os_str());
    refused(&home, &send(&home, &["bob"], b"x"), 69, &["tmux", "apt install tmux", "IAPEER_TMUX_BIN"]);
    home.set("IAPEER_TMUX_BIN", "/nonexistent/tmux");
    refused(&home, &send(&home, &["bob"], b"x"), 69, &["/nonexistent/tmux", "IAPEER_TMUX_BIN"]);
}

#[test]
fn a_tmux_that_is_too_old_is_named_with_what_to_install() {
    let home = home();
    let old = home.dir().join("old-tmux");
    let script = "#!/bin/sh\n[ \"$*\" = -V ] && exec echo tmux 2.8\necho 'usage: new-session [-AdDEP]' >&2\nexit 1\n";
    std::fs::write(&old, script).unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.set("IAPEER_TMUX_BIN", &old);
    let sent = send(&home, &["bob", "--wait", "5"], b"x");
    assert!(sent.code == 0 && sent.stdout.contains("old-tmux is tmux 2.8, too old"), "{sent}");
    let woken = home.run("iapeer-wake", &["bob"]);
    assert!(woken.code == 69 && woken.stderr.contains("install tmux 3.2 or newer"), "{woken}");
    home.unset("IAPEER_TMUX_BIN");
    support::wait_until("the message", support::PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("bob") == ["x"]
    });
}

#[test]
fn without_the_runtimes_program_it_is_69_at_once_and_names_the_variable() {
    let home = home();
    home.set("PATH", "/usr/bin:/bin");
    home.ok("iapeer", &["create", "carl", "--runtime", "claude"]);
    home.set("IAPEER_CLAUDE_BIN", "/nonexistent/claude");
    refused(&home, &send(&home, &["carl"], b"x"), 69, &["/nonexistent/claude", "IAPEER_CLAUDE_BIN", "npm install"]);
    assert_eq!(home.queue("claude-carl"), (0, 0, 0));
}

#[test]
fn a_root_open_to_others_or_of_someone_else_is_77() {
    support::once_more_without_root("a_root_open_to_others_or_of_someone_else_is_77");
    let home = home();
    let mode = |mode| std::fs::set_permissions(home.root(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o720);
    let output = send(&home, &["bob"], b"x");
    assert!(output.code == 77 && output.stderr.contains("chmod 700"), "{output}");
    assert_eq!(home.run("iapeer", &["list"]).code, 77);
    mode(0o700);
    if nix::unistd::geteuid().is_root() {
        chown(home.root(), Some(12345), None).unwrap();
        let output = send(&home, &["bob"], b"x");
        chown(home.root(), Some(0), None).unwrap();
        assert!(output.code == 77 && output.stderr.contains("uid 12345"), "{output}");
    } else {
        eprintln!("SKIPPED: a root of someone else (only root can give it away)");
    }
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0));
}

#[test]
fn a_folder_that_can_not_be_made_is_73() {
    let home = home();
    let file = home.dir().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("below");
    for words in [&["man"][..], &["completions", "bash"]] {
        let output = home.run("iapeer", &[words, &[below.to_str().unwrap()]].concat());
        refused(&home, &output, 73, &["cannot create", below.to_str().unwrap()]);
    }
}

#[test]
fn bad_settings_are_78_and_name_the_variable() {
    let home = home();
    home.set("IAPEER_IDLE_SECS", "soon");
    refused(&home, &send(&home, &["bob"], b"x"), 78, &["IAPEER_IDLE_SECS", "soon"]);
    home.unset("IAPEER_IDLE_SECS").set("IAPEER_LOG", "bogus");
    refused(&home, &send(&home, &["bob"], b"x"), 78, &["IAPEER_LOG", "bogus"]);
    home.unset("IAPEER_LOG").set("IAPEER_ROOT", "relative");
    refused(&home, &send(&home, &["bob"], b"x"), 78, &["IAPEER_ROOT"]);
}

#[test]
fn a_full_disk_is_74_and_nothing_is_accepted() {
    let home = home();
    let queue = home.state_dir().join("parrot-bob.queue");
    // Who may not mount fills no disk: a file-size limit of the process is the nearest thing there is.
    let disk = support::SmallDisk::mount(&queue);
    let output = if disk.is_some() {
        let filler = vec![0_u8; 128 * 1024];
        let _ = std::fs::write(queue.join("filler"), &filler);
        send(&home, &["bob"], b"does not fit")
    } else {
        let program = support::bin("iapeer-send");
        let script =
            format!("trap '' XFSZ; ulimit -f 0; exec {} bob --from alice -m 'does not fit'", program.display());
        home.run("sh", &["-c", &script])
    };
    assert_eq!(output.code, 74, "{output}");
    assert!(output.stderr.contains("failed:") && output.stderr.lines().count() == 1, "{output}");
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0));
    drop(disk);
    assert_eq!(send(&home, &["bob"], b"fits").code, 0);
}

#[test]
fn a_refusal_in_json_has_its_outcome_and_its_reason() {
    let home = home();
    let output = send(&home, &["nobody", "--json"], b"x");
    assert_eq!(output.code, 67);
    let object = output.json();
    assert_eq!(object["outcome"], "refused");
    assert!(object["reason"].as_str().unwrap().contains("nobody"));
    let sent = send(&home, &["bob", "--json"], b"x").json();
    for key in ["outcome", "id", "identity", "woke", "mode", "cause", "waiting", "ms"] {
        assert!(!sent[key].is_null(), "{key} in {sent}");
    }
}
