//! Steps fail: the first, second, third … write, fsync, link, rename, open, mkdir or unlink of each program, until none is
//! left to fail. What a program says of it is true: a message that it called accepted is delivered, one that it refused
//! never is; ticks bring everything to rest; the doctor finds nothing. Besides, a real disk that is full and a real one
//! that is read-only.
//!
//! The short form takes some stories; the long form (`IAPEER_SOAK=1`) all, with both errors. `IAPEER_FAULTS_STORY` names a
//! story that is to run alone.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use support::scenario::{Office, Scenario, at_once, disturbed, is_soak, scenarios};
use support::{PATIENCE, SmallDisk, TestHome, wait_until};

const OPS: [&str; 9] = ["open", "write", "fsync", "link", "rename", "unlink", "mkdir", "rmdir", "truncate"];
/// Stories whose steps are most of those there are.
const SHORT: [&str; 5] = ["first contact", "worker dies", "rename", "rename, live", "remove"];

/// Fails one step after the other of this kind in this story. Says how many failed, and what was wrong afterwards.
fn fail_all(story: &Scenario, op: &str, errno: &str) -> (u32, Vec<String>) {
    let mut wrong = Vec::new();
    for n in 1.. {
        let mark = tempfile::tempdir().unwrap();
        let at = mark.path().join("fault");
        let fault =
            [("IAPEER_FAULT", format!("{op}:{n}:{errno}")), ("IAPEER_FAULT_MARK", at.to_string_lossy().into_owned())];
        let found = disturbed(story, &fault).1;
        wrong.extend(found);
        if !at.exists() {
            println!("faults: {}, {op}, {errno}: {} failed steps; wrong: {}", story.name, n - 1, wrong.len());
            return (n - 1, wrong);
        }
    }
    unreachable!("a story has an end")
}

#[test]
fn whatever_step_fails_what_is_said_is_true_and_nothing_is_lost() {
    let mut all = Vec::new();
    let only = std::env::var("IAPEER_FAULTS_STORY").ok();
    let is_asked = |story: &&Scenario| match &only {
        Some(only) => *only == story.name,
        None => is_soak() || SHORT.contains(&story.name),
    };
    for story in scenarios().into_iter().filter(is_asked) {
        for (n, op) in OPS.iter().enumerate() {
            let errors = ["EIO", "ENOSPC"];
            let chosen = errors.into_iter().enumerate().filter(|(at, _)| is_soak() || *at == n % 2);
            all.extend(chosen.map(|(_, errno)| (story, op, errno)));
        }
    }
    let done = at_once(&all, |(story, op, errno)| fail_all(story, op, errno));
    let wrong: Vec<String> = done.iter().flat_map(|(_, wrong)| wrong.clone()).collect();
    println!("faults: {} failed steps; wrong: {}", done.iter().map(|(n, _)| n).sum::<u32>(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A verb that moves several things, with an error of each fsync in turn, that of the last one after a rename(2) too: what
/// it says is what is. Either nothing was begun, or what was begun is named and gone on with; a retry finds it done.
#[test]
fn a_verb_whose_fsync_fails_says_what_is_and_undoes_nothing() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    let (mut failures, mut begun) = (0, 0);
    for verb in ["create", "rename", "remove"] {
        for n in 1.. {
            let (name, mark) = (format!("{verb}-{n}"), home.dir().join(format!("{verb}-{n}.mark")));
            if verb != "create" {
                home.parrot(&name, &[]);
            }
            let new = format!("{name}-new");
            let words: Vec<&str> = match verb {
                "create" => vec![verb, &name, "--runtime", "parrot"],
                "rename" => vec![verb, &name, &new],
                _ => vec![verb, &name],
            };
            home.set("IAPEER_FAULT", format!("iapeer/fsync:{n}:EIO")).set("IAPEER_FAULT_MARK", &mark);
            let failed = home.run("iapeer", &words);
            home.unset("IAPEER_FAULT").unset("IAPEER_FAULT_MARK");
            if !mark.exists() {
                break;
            }
            let intents = home.root().join("state/intents");
            let is_begun = std::fs::read_dir(&intents).is_ok_and(|mut left| left.next().is_some());
            if failed.code == 0 {
                assert!(!failed.stderr.is_empty(), "{words:?}, fsync {n}: what was not made durable is said");
            } else {
                failures += 1;
                assert_eq!((failed.code, failed.stderr.lines().count()), (74, 1), "{words:?}, fsync {n}: {failed}");
                assert_eq!(failed.stderr.contains("is begun and not finished"), is_begun, "fsync {n}: {failed}");
                assert!(!failed.stderr.contains("nothing was changed") || !is_begun, "fsync {n}: {failed}");
                begun += u32::from(is_begun);
            }
            home.ok("iapeer", &words);
            assert!(!intents.exists(), "{words:?}, fsync {n}: the intent is left");
            assert_eq!(home.run("iapeer", &["verify"]).stderr, "", "{words:?}, fsync {n}");
        }
    }
    println!("faults: {failures} failed fsyncs of verbs, {begun} behind the intent");
    assert!(failures > 10 && begun > 5, "{failures} failures, {begun} behind the intent");
}

/// A wake that says it failed leaves no session behind that nobody asked for, whichever of its files can't be written.
#[test]
fn a_wake_that_failed_leaves_no_session() {
    let home = TestHome::new();
    home.set("IAPEER_CRASHLOOP_MAX", "1000");
    home.parrot("bob", &[]);
    let mut failures = 0;
    for (op, errno) in [("open", "ENOSPC"), ("write", "ENOSPC"), ("rename", "EIO"), ("fsync", "EIO")] {
        for n in 1.. {
            let mark = home.dir().join(format!("{op}-{n}.mark"));
            let fault = format!("iapeer-wake/{op}:{n}:{errno}");
            home.set("IAPEER_FAULT", &fault).set("IAPEER_FAULT_MARK", &mark);
            let woken = home.run("iapeer-wake", &["bob"]);
            home.unset("IAPEER_FAULT").unset("IAPEER_FAULT_MARK");
            let lives = home.server_pid("parrot-bob").is_some();
            // What failed behind the session's record is said of a session that is up.
            let behind = woken.stderr.contains("parrot-bob.idle-reaped is removed");
            assert_eq!(lives, woken.code == 0 || behind, "{fault}: {woken}");
            assert_eq!(home.state("parrot-bob", "session"), lives, "{fault}: {woken}");
            failures += u32::from(woken.code != 0);
            home.ok("iapeer-reap", &["parrot-bob"]);
            if !mark.exists() {
                break;
            }
        }
    }
    println!("faults: {failures} failed wakes");
    assert!(failures > 5, "{failures}");
}

/// Runs `mount` with these arguments and says whether it may.
fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).status().is_ok_and(|status| status.success())
}

fn skipped(what: &str) {
    println!("SKIPPED: {what} (only root may mount)");
}

#[test]
fn on_a_full_disk_what_was_accepted_is_delivered_and_what_was_refused_is_not() {
    let mut office = Office::new();
    let state = office.home.state_dir();
    office.send("bob", "before");
    office.home.at_rest("parrot-bob");
    // The state of the fleet as it is, on a disk of 64 KiB.
    let aside = office.home.dir().join("aside");
    std::fs::rename(&state, &aside).unwrap();
    let Some(disk) = SmallDisk::mount(&state) else { return skipped("a disk of 64 KiB") };
    assert!(Command::new("cp").arg("-a").arg(aside.join(".")).arg(&state).status().unwrap().success());
    let body = "x".repeat(9000);
    office.run("iapeer", &["stop", "wes"]);
    for n in 0..12 {
        let output =
            office.home.run("iapeer-send", &["bob", "--from", "ann", "--no-wait", "-m", &format!("{n} {body}")]);
        office.sent.push(support::scenario::Sent {
            to: "bob",
            body: format!("{n} {body}"),
            code: output.code,
            said: output.stderr,
        });
    }
    office.settle().unwrap();
    let wrong = office.judge();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    drop(disk);
}

/// A folder that is read-only for as long as the value lives.
struct ReadOnly<'a>(&'a Path);

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn on_a_read_only_disk_everything_is_refused_and_goes_on_afterwards() {
    let mut office = Office::new();
    office.send("bob", "before");
    office.home.at_rest("parrot-bob");
    let root = office.home.root();
    if !mount(&["--bind", &root.to_string_lossy()], &root) {
        return skipped("a read-only disk");
    }
    let closed = ReadOnly(&root);
    // A program that was started before may still be writing.
    wait_until("nobody to write", PATIENCE, || mount(&["-o", "remount,bind,ro"], &root));
    office.send("bob", "meanwhile");
    for (program, args) in [
        ("iapeer", &["stop", "bob"][..]),
        ("iapeer", &["create", "dan", "--runtime", "parrot"]),
        ("iapeer-superviser", &[]),
        ("iapeer-drain", &["parrot-bob"]),
    ] {
        let output = office.home.run(program, args);
        assert!(output.code != 0, "{program} {args:?} says that it worked: {output}");
    }
    let meanwhile = office.sent.last().unwrap();
    assert!(meanwhile.code != 0, "{meanwhile:?}");
    let listed: &TestHome = &office.home;
    listed.ok("iapeer", &["list"]);
    drop(closed);
    office.send("bob", "after");
    office.settle().unwrap();
    let wrong = office.judge();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(office.home.bodies("bob"), ["before", "after"]);
}
