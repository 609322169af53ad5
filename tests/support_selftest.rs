//! The test environment itself: what it promises to every other test.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use support::{TestHome, bodies_in, count_items, logfmt, wait_until};

/// Whether any running process has this root in its environment.
#[cfg(target_os = "linux")]
fn any_process_names(root: &Path) -> bool {
    let entry = format!("IAPEER_ROOT={}", root.display());
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let environ = fs::read(process.path().join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|found| found == entry.as_bytes())
    })
}

#[test]
fn nothing_of_the_callers_environment_reaches_a_command() {
    let home = TestHome::new();
    home.set("IAPEER_IDLE_SECS", "1").set("GONE", "x").unset("GONE");
    let shown = home.ok("env", &[]).stdout;
    let mut names: Vec<&str> = shown.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !["LLVM_PROFILE_FILE", "RUST_BACKTRACE", "XDG_RUNTIME_DIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HOME", "IAPEER_IDLE_SECS", "IAPEER_ROOT", "LANG", "PATH", "TMPDIR", "TMUX_TMPDIR"]);
    assert!(shown.contains(&format!("HOME={}\n", home.home().display())));
    let first_on_path = format!("PATH={}:", support::bin_dir().display());
    assert!(shown.contains(&first_on_path), "{shown}");
}

#[test]
fn a_home_is_private_and_short_enough_for_the_longest_identity() {
    let home = TestHome::new();
    assert_eq!(fs::metadata(home.root()).unwrap().permissions().mode() & 0o777, 0o700);
    let (runtime, name) = ("r".repeat(32), "n".repeat(32));
    let socket = home.sockets().join(format!("tmux-iap-{runtime}-{name}.sock"));
    if cfg!(target_os = "linux") {
        assert!(socket.as_os_str().len() <= iapeer::base::paths::SOCKET_PATH_MAX, "{}", socket.display());
    }
}

#[test]
fn output_code_and_stdin_go_through_unchanged() {
    let home = TestHome::new();
    let output = home.run_with("sh", &["-c", "cat; echo why >&2; exit 69"], b"one\n{\"two\":2}\n");
    assert_eq!((output.code, output.stderr.as_str()), (69, "why\n"));
    assert_eq!(output.stdout, "one\n{\"two\":2}\n");
    assert_eq!(home.run_with("tail", &["-n", "1"], b"x\n{\"two\":2}\n").json_lines()[0]["two"], 2);
    assert_eq!(home.run("sh", &["-c", "kill -9 $$"]).code, 137);
}

#[test]
fn what_a_program_leaves_behind_does_not_hold_its_end_up() {
    let home = TestHome::new();
    // The left-over keeps the output open; a reader of a pipe would wait for it.
    assert_eq!(home.ok("sh", &["-c", "sleep 600 & echo done"]).stdout, "done\n");
}

#[test]
#[should_panic(expected = "said so far")]
fn a_program_that_hangs_is_killed_and_what_it_said_is_shown() {
    let home = TestHome::new();
    let hangs = home.spawn("sh", &["-c", "echo said so far; exec sleep 600"]);
    wait_until("what it says", support::PATIENCE, || hangs.stdout() == "said so far\n");
    hangs.wait(Duration::from_millis(20));
}

#[test]
#[should_panic(expected = "in vain for: the end of time")]
fn a_wait_in_vain_says_for_what() {
    wait_until("the end of time", Duration::from_millis(20), || false);
}

#[cfg(target_os = "linux")]
#[test]
fn dropping_a_home_ends_its_servers_and_processes_and_removes_it() {
    let home = TestHome::new();
    fs::create_dir(home.sockets()).unwrap();
    let id = "parrot-bob";
    let started =
        home.tmux(id, &["-f", "/dev/null", "new-session", "-d", "-s", id, "echo hello from the pane; sleep 600"]);
    assert_eq!(started.code, 0, "{started}");
    // One that has left everything: session, parent, output.
    home.ok("sh", &["-c", "setsid sleep 600 </dev/null >/dev/null 2>&1 &"]);
    wait_until("the pane to show", support::PATIENCE, || home.screen(id).contains("hello from the pane"));
    let server = home.server_pid(id).unwrap();
    assert!(fs::read_link(format!("/proc/{server}/exe")).unwrap().ends_with("tmux"));
    let (dir, root) = (home.dir().to_owned(), home.root());
    assert!(any_process_names(&root));

    drop(home);

    assert!(!any_process_names(&root));
    // No link to read: gone, or waiting to be reaped by whoever is pid 1.
    assert!(fs::read_link(format!("/proc/{server}/exe")).is_err());
    assert!(!dir.exists());
}

#[test]
fn a_home_goes_after_a_panic_too() {
    let (tell, told) = std::sync::mpsc::channel();
    let failed = std::thread::spawn(move || {
        let home = TestHome::new();
        tell.send(home.dir().to_owned()).unwrap();
        panic!("as planned");
    });
    assert!(failed.join().is_err());
    assert!(!told.recv().unwrap().exists());
}

#[test]
fn state_logs_and_queues_are_read_as_they_are_written() {
    let home = TestHome::new();
    assert!(home.log("lifecycle.log").is_empty());
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0));
    assert_eq!(home.session_json("parrot-bob"), None);

    let queue = home.state_dir().join("parrot-bob.queue");
    for folder in ["inflight", "dead"] {
        fs::create_dir_all(queue.join(folder)).unwrap();
    }
    for file in ["000001", "1000000", "seq", ".000002.tmp", "dead/000000", "dead/000000.reason"] {
        fs::write(queue.join(file), "").unwrap();
    }
    assert_eq!(home.queue("parrot-bob"), (2, 0, 1));
    assert_eq!(count_items(Path::new("/nowhere")), 0);

    fs::write(home.state_dir().join("parrot-bob.session"), "{\"phase\":\"ready\"}\n").unwrap();
    assert_eq!(home.session_json("parrot-bob").unwrap()["phase"], "ready");
    assert!(home.state("parrot-bob", "session") && !home.state("parrot-bob", "idle-reaped"));

    fs::create_dir_all(home.root().join("logs/iapeer")).unwrap();
    fs::write(home.root().join("logs/iapeer/lifecycle.log"), "ts=1 ev=wake reason=\"a b\"\n").unwrap();
    assert_eq!(home.log("lifecycle.log")[0]["reason"], "a b");
}

#[test]
fn a_record_shows_only_finished_lines() {
    let home = TestHome::new();
    assert!(home.record("bob").is_empty());
    let envelope = "<iap id=\"1\"><message><![CDATA[hi]]></message></iap>";
    let line = serde_json::json!({ "text": envelope }).to_string();
    fs::write(home.dir().join("bob.record"), format!("{line}\n{{\"text\":\"ha")).unwrap();
    assert_eq!(home.record("bob").len(), 1);
    assert_eq!(home.bodies("bob"), ["hi"]);
}

#[test]
fn logfmt_lines() {
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let rows: &[(&str, Option<Fields>)] = &[
        ("", Some(&[])),
        ("a=1", Some(&[("a", "1")])),
        ("a= b=2", Some(&[("a", ""), ("b", "2")])),
        (r#"a="" b="x y""#, Some(&[("a", ""), ("b", "x y")])),
        (r#"a="q\"\\ \n\u001b=" b=\n"#, Some(&[("a", "q\"\\ \n\u{1b}="), ("b", r"\n")])),
        ("a", None),
        ("=1", None),
        (r#"a="open"#, None),
        (r#"a="x"b=1"#, None),
        ("a=1  b=2", None),
        ("a=1 ", None),
        ("a=1 a=2", None),
    ];
    for (line, wanted) in rows {
        let wanted = wanted.map(|fields| fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert_eq!(logfmt(line), wanted, "{line:?}");
    }
}

#[test]
fn bodies_come_out_of_their_envelopes() {
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        ("plain text", &[]),
        ("<iap><message><![CDATA[]]></message></iap>", &[""]),
        ("<iap><message><![CDATA[a ]]]]><![CDATA[> b]]></message></iap>", &["a ]]> b"]),
        (
            "<iap><message><![CDATA[one]]></message></iap>\n<iap><message><![CDATA[two]]></message></iap>",
            &["one", "two"],
        ),
        ("<message><![CDATA[cut", &[]),
    ];
    for (text, wanted) in rows {
        assert_eq!(bodies_in(text), *wanted, "{text:?}");
    }
}
