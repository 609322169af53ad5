//! Programs that start programs: what a sender is told where nothing can be started, and what does not stop a start.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Output, PATIENCE, SmallDisk, TestHome, bin, bin_dir, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A home with a sender, a sleeping parrot and programs of its own, of which the drain may be spoilt.
struct Installed {
    home: TestHome,
    programs: PathBuf,
}

impl Installed {
    fn new() -> Installed {
        let home = TestHome::new();
        home.set("IAPEER_SERVICE_MANAGER", "none");
        home.parrot("alice", &[]);
        home.parrot("bob", &[]);
        let programs = home.dir().join("bin");
        fs::create_dir(&programs).unwrap();
        for entry in fs::read_dir(bin_dir()).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let is_program = name == "iapeer" || name.starts_with("iapeer-") && !name.contains('.');
            // A link to the drain would share its mode with every other test.
            if is_program && name != "iapeer-drain" && fs::hard_link(entry.path(), programs.join(&name)).is_err() {
                fs::copy(entry.path(), programs.join(&name)).unwrap();
            }
        }
        fs::copy(bin("iapeer-drain"), programs.join("iapeer-drain")).unwrap();
        Installed { home, programs }
    }

    fn drain(&self) -> PathBuf {
        self.programs.join("iapeer-drain")
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.drain(), Permissions::from_mode(mode)).unwrap();
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        self.home.run(self.programs.join(program).to_str().unwrap(), args)
    }

    fn send(&self, body: &str, args: &[&str]) -> Output {
        self.run("iapeer-send", &[&["bob", "--from", "alice", "-m", body], args].concat())
    }

    /// What the doctor says of the drain, and its exit code.
    fn doctor(&self, args: &[&str]) -> (i32, Option<Value>) {
        let output = self.run("iapeer", &[&["doctor", "--json"], args].concat());
        let drain = self.drain();
        let found = output.json_lines().into_iter().find(|line| line["about"].as_str().map(Path::new) == Some(&drain));
        if let Some(found) = &found {
            assert_eq!((&found["check"], &found["severity"]), (&"programs".into(), &"error".into()), "{found}");
        }
        (output.code, found)
    }
}

/// A sender that waits, and one that does not, are told `why` at once and in both forms; the message is kept.
#[track_caller]
fn told(installed: &Installed, why: &str) {
    let reason = format!("accepted, but nothing could be started: {why}; the next tick delivers");
    let before = installed.home.queue("parrot-bob").0;
    let output = installed.send("waits", &[]);
    let line = format!("queued for parrot-bob ({} waiting: {reason}) ", before + 1);
    assert!(output.code == 0 && output.stdout.starts_with(&line), "{output}\nwanted: {line}");
    assert_eq!(output.stderr, "", "told once");
    let report = installed.send("does not wait", &["--no-wait", "--json"]).json();
    assert_eq!((&report["outcome"], &report["reason"]), (&"queued".into(), &reason.as_str().into()), "{report}");
    assert_eq!(report["waiting"], before + 2);
    assert_eq!(installed.home.queue("parrot-bob"), (before + 2, 0, 0));
}

#[test]
fn a_drain_that_is_not_executable_is_told_and_what_was_accepted_is_delivered_once_it_is() {
    let installed = Installed::new();
    let home = &installed.home;
    installed.set_mode(0o644);
    let drain = installed.drain().display().to_string();
    told(&installed, &format!("{drain} is not executable: `chmod 755 {drain}`"));
    assert_eq!(installed.send("required", &["--require", "delivered"]).code, 75);

    let tick = installed.run("iapeer-superviser", &["--json"]);
    assert!(tick.code == 0 && tick.stderr.contains("cannot start iapeer-drain"), "{tick}");
    assert_eq!(tick.json_lines().last().unwrap()["tick"]["drained"], 0, "{tick}");

    let (code, found) = installed.doctor(&[]);
    let found = found.expect("the doctor names the drain");
    assert_eq!(code, 77);
    assert_eq!(found["what"], "is not executable: no message is delivered");
    assert_eq!(found["todo"], format!("`chmod 755 {drain}`"));
    let (code, found) = installed.doctor(&["--fix"]);
    assert_eq!((code, &found.unwrap()["mended"]), (0, &"done".into()));
    assert_eq!(fs::metadata(installed.drain()).unwrap().permissions().mode() & 0o777, 0o755);

    let tick = installed.run("iapeer-superviser", &["--json"]);
    assert_eq!(tick.json_lines().last().unwrap()["tick"]["drained"], 1, "{tick}");
    wait_until("what was accepted", SOON, || home.bodies("bob") == ["waits", "does not wait", "required"]);
    let output = installed.send("as ever", &["--require", "delivered"]);
    assert!(output.code == 0 && output.stdout.starts_with("delivered to parrot-bob (warm)"), "{output}");
}

#[test]
fn a_drain_that_is_missing_or_no_program_is_told_and_the_next_one_delivers() {
    let installed = Installed::new();
    let drain = installed.drain();
    fs::remove_file(&drain).unwrap();
    told(&installed, &format!("{} is missing: install iapeer again", drain.display()));
    let (code, found) = installed.doctor(&[]);
    assert_eq!((code, &found.unwrap()["what"]), (69, &"is missing: no message is delivered".into()));

    // Half an upgrade: only the kernel can tell, which it does before the sender goes on.
    fs::write(&drain, "").unwrap();
    installed.set_mode(0o755);
    told(&installed, &format!("cannot start {}: Exec format error (os error 8)", drain.display()));

    fs::remove_file(&drain).unwrap();
    fs::copy(bin("iapeer-drain"), &drain).unwrap();
    let output = installed.send("last", &["--require", "delivered"]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(installed.home.bodies("bob"), ["waits", "does not wait", "waits", "does not wait", "last"]);
}

#[test]
fn a_file_system_mounted_noexec_is_told() {
    let installed = Installed::new();
    let mounted = installed.home.dir().join("noexec");
    let Some(_disk) = SmallDisk::mount_noexec(&mounted) else { return };
    let drain = installed.drain();
    fs::write(mounted.join("iapeer-drain"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(mounted.join("iapeer-drain"), Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(&drain).unwrap();
    std::os::unix::fs::symlink(mounted.join("iapeer-drain"), &drain).unwrap();
    let what = "lies on a file system that is mounted noexec";
    told(&installed, &format!("{} {what}: remount it with exec, or install iapeer elsewhere", drain.display()));
    let (code, found) = installed.doctor(&["--fix"]);
    let found = found.expect("the doctor names the drain");
    assert_eq!((code, &found["what"]), (77, &format!("{what}: no message is delivered").into()));
    assert!(found.get("mended").is_none(), "nothing of ours to mend: {found}");
}

/// What ends the sender's process group must not end a drain that has not left that group yet. Senders that ignore the
/// signal, as under nohup, go on and have to see to it.
#[test]
fn a_hangup_in_the_moment_of_the_start_does_not_lose_the_drain() {
    let installed = Installed::new();
    let home = &installed.home;
    let script = r#"trap '' HUP
        (while :; do kill -HUP 0; i=0; while [ $i -lt 500 ]; do i=$((i + 1)); done; done) & storm=$!
        for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            "$1" bob --from alice --require delivered -m "$n" || echo "lost: $n"
        done
        kill $storm"#;
    let mut command = home.cmd("sh");
    command.args(["-c", script, "sh"]).arg(installed.programs.join("iapeer-send")).process_group(0);
    let output = home.start(command, None).wait(PATIENCE);
    assert!(output.code == 0 && !output.stdout.contains("lost"), "{output}");
    assert_eq!(home.bodies("bob"), (1..=20).map(|n| n.to_string()).collect::<Vec<_>>());
}
