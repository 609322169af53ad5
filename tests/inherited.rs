//! What a woken session, and a program of ours, owe to whoever started them: nothing.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;
use support::{Output, TestHome, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

/// Runs a shell script in the home.
fn shell(home: &TestHome, script: &str) -> Output {
    home.run("sh", &["-c", script])
}

fn of_agent(home: &TestHome, file: &str) -> String {
    let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
    String::from_utf8_lossy(&fs::read(format!("/proc/{pane}/{file}")).unwrap()).into_owned()
}

const SEND: &str = "iapeer-send ann --from bob --require delivered -m hello";

#[test]
#[cfg(target_os = "linux")]
fn a_session_has_the_umask_the_limits_and_the_signals_of_a_login() {
    let home = home_with(&[]);
    let sent = shell(
        &home,
        &format!("ulimit -S -t 60; ulimit -S -n 64; ulimit -S -f 100; umask 0277; trap '' USR1 XFSZ ALRM; {SEND}"),
    );
    assert_eq!(sent.code, 0, "{sent}");
    let status = of_agent(&home, "status");
    assert!(status.contains("Umask:\t0022"), "{status}");
    let limits = of_agent(&home, "limits");
    let soft = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!((soft("Max cpu time"), soft("Max file size")), ("unlimited".into(), "unlimited".into()));
    assert!(soft("Max open files").parse::<u64>().unwrap() >= 1024, "{limits}");
    let mask = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    let ignored = u64::from_str_radix(&mask("SigIgn:"), 16).unwrap();
    // The parrot itself ignores SIGPIPE, as each program of Rust does.
    for signal in [10, 14, 25] {
        assert_eq!(ignored >> (signal - 1) & 1, 0, "signal {signal} is ignored: {status}");
    }
    assert!(!home.state(ANN, "deaths"));
}

#[test]
fn files_of_ours_are_private_whatever_the_callers_umask() {
    for umask in ["0", "0777"] {
        let home = TestHome::new();
        home.parrot("bob", &[]);
        home.parrot("ann", &[]);
        let sent = shell(&home, &format!("umask {umask}; {SEND}"));
        assert_eq!(sent.code, 0, "umask {umask}: {sent}");
        let files = shell(&home, &format!("find '{}' -type f ! -perm 600", home.state_dir().display()));
        assert_eq!(files.stdout, "", "umask {umask}");
    }
}

#[test]
fn too_few_descriptors_are_said_and_are_no_answer_about_anybody() {
    let home = home_with(&[]);
    assert_eq!(shell(&home, SEND).code, 0);
    home.at_rest(ANN);
    let hard = shell(&home, "ulimit -n 8; iapeer list");
    let lives = |listed: &str| {
        let ann = listed.lines().find(|line| line.starts_with("ann ")).unwrap_or_default();
        ["idle", "working"].iter().any(|state| ann.contains(state)) && !listed.contains("unknown")
    };
    let raised = hard.code == 0 && lives(&hard.stdout);
    let refused = hard.code == 69 && hard.stderr.contains("ulimit -n") && hard.stdout.is_empty();
    assert!(raised || refused, "{hard}");
    // A soft limit is ours to lift.
    let soft = shell(&home, "ulimit -S -n 8; iapeer list && iapeer-superviser --json");
    assert!(soft.code == 0 && lives(&soft.stdout), "{soft}");
}

#[test]
fn a_caller_that_ignores_its_children_still_learns_what_tmux_said() {
    let home = home_with(&[]);
    let script = "import os, signal, subprocess, sys\n\
                  signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})\n\
                  os.execvp(sys.argv[1], sys.argv[1:])\n";
    let words = ["-c", script, "iapeer-send", "ann", "--from", "bob", "--require", "delivered", "-m", "hello"];
    let sent = home.run("python3", &words);
    assert_eq!(sent.code, 0, "{sent}");
}

#[test]
fn the_folder_of_whoever_wakes_is_not_kept_busy() {
    let home = home_with(&[]);
    let folder = home.dir().join("gone");
    fs::create_dir(&folder).unwrap();
    let mut command = home.cmd("sh");
    command.args(["-c", SEND]).current_dir(&folder);
    assert_eq!(home.start(command, None).wait(SOON).code, 0);
    let server = home.server_pid(ANN).unwrap();
    assert_ne!(fs::read_link(format!("/proc/{server}/cwd")).unwrap(), folder);
}

#[test]
fn a_peer_with_a_home_of_its_own_resumes_there() {
    let home = home_with(&[]);
    for own in ["own", "other"] {
        let own = home.dir().join(own);
        home.launch_env("ann", &[("HOME", own.to_str().unwrap())]);
        home.ok("iapeer", &["new", "ann"]);
        let send = |text| home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", text]);
        send("one");
        home.at_rest(ANN);
        home.ok("iapeer-reap", &[ANN]);
        let sent = send("two");
        assert!(sent.stdout.contains("(woke: resume, idle-reaped-resume)"), "{sent}");
        assert!(own.join(".iapeer-parrot/sessions").is_dir());
        home.at_rest(ANN);
    }
    assert!(!home.home().join(".iapeer-parrot").exists());
}

#[test]
fn a_caller_without_home_and_with_a_short_path_wakes_the_same_session() {
    let home = home_with(&[]);
    // The program stands where only a whole PATH leads to.
    let bin = home.home().join(".local/bin");
    fs::create_dir_all(&bin).unwrap();
    let own = support::bin("iapeer-parrot");
    let manifest = include_str!("../src/lib/runtime/builtin/parrot.json");
    let mut manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
    manifest["program"]["candidates"] = serde_json::json!(["a-parrot"]);
    let folder = home.root().join("runtimes/parrot");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
    std::os::unix::fs::symlink(&own, bin.join("a-parrot")).unwrap();
    let programs = support::bin_dir();
    let sent = shell(&home, &format!("PATH={}:/usr/bin:/bin; export PATH; {SEND}", programs.display()));
    assert_eq!(sent.code, 0, "{sent}");
    let environ = of_agent(&home, "environ");
    let path = environ.split('\0').find_map(|entry| entry.strip_prefix("PATH=")).unwrap();
    assert!(path.contains("/usr/local/bin") && path.contains("/.local/bin"), "{path}");
    home.ok("iapeer-reap", &[ANN]);
    fs::remove_file(folder.join("runtime.json")).unwrap();
    let woken = home.run("env", &["-u", "HOME", "iapeer-wake", "ann"]);
    assert_eq!(woken.code, 0, "{woken}");
    assert!(of_agent(&home, "environ").split('\0').any(|entry| entry.starts_with("HOME=/")));
    wait_until("its session", SOON, || home.server_pid(ANN).is_some());
}
