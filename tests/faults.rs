//! Steps fail: the first, second, third … write, fsync, link, rename, open, mkdir or unlink of each program, until none is
//! left to fail. What a program says of it is true: a message that it called accepted is delivered, one that it refused
//! never is; ticks bring everything to rest; the doctor finds nothing. Besides, a real disk that is full and a real one
//! that is read-only.
//!
//! The short form takes some stories; the long form (`IAPEER_SOAK=1`) all, with both errors.

mod support;

use std::path::Path;
use std::process::Command;
use support::scenario::{Office, SCENARIOS, Scenario, at_once, disturbed, is_soak};
use support::{SmallDisk, TestHome};

const OPS: [&str; 8] = ["open", "write", "fsync", "link", "rename", "unlink", "mkdir", "truncate"];
/// Stories whose steps are most of those there are.
const SHORT: [&str; 2] = ["first contact", "worker dies"];

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
            return (n - 1, wrong);
        }
    }
    unreachable!("a story has an end")
}

#[test]
fn whatever_step_fails_what_is_said_is_true_and_nothing_is_lost() {
    let mut all = Vec::new();
    for story in SCENARIOS.iter().filter(|story| is_soak() || SHORT.contains(&story.name)) {
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
    assert!(mount(&["-o", "remount,bind,ro"], &root));
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
