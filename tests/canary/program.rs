//! The end of a program, the canary itself, and the OOM killer.

use crate::*;

/// The program in the pane ends: one line with its status or signal, the server that keeps the dead pane is ended, one
/// death is counted, and no server-exit is made of it.
#[test]
fn a_session_that_ends_by_itself_is_recorded_once_and_cleared_away() {
    for _ in 0..3 {
        let bob = Watched::new(&[]);
        let (server, canary, pane) = (bob.server(), bob.canary(), bob.recorded("pane"));
        send(pane, Signal::SIGKILL);
        // The hook does it; where tmux missed the end (3.3a), the tick does.
        wait_until("the session's end", PATIENCE, || {
            bob.tick();
            cmdline(server).is_empty()
        });
        wait_until("the canary's end", PATIENCE, || !cmdline(canary).contains("iapeer-canary"));
        wait_until("the death to be counted", PATIENCE, || bob.state("deaths").exists());
        bob.tick();
        let exits = bob.home.log("exits.log");
        assert_eq!(exits.len(), 1, "{exits:?}");
        assert_eq!(exits[0]["ev"], "session-exit");
        let ending = (exits[0]["dead_status"].as_str(), exits[0]["dead_signal"].as_str());
        assert_eq!(ending, ("", "9"), "{exits:?}");
        let deaths: Vec<u64> = serde_json::from_slice(&fs::read(bob.state("deaths")).unwrap()).unwrap();
        assert_eq!(deaths.len(), 1);
        assert!(bob.home.session_json(&bob.identity).is_none());
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert_eq!(
            (listed["state"].as_str(), listed["text"].as_str()),
            (Some("dead"), Some("exit-signal-9")),
            "{listed}"
        );
    }
}

/// The hook alone, without any tick of ours, does the whole.
#[test]
fn the_hook_records_and_clears_away() {
    let bob = Watched::new(&[]);
    let server = bob.server();
    send(bob.recorded("pane"), Signal::SIGTERM);
    wait_until("the session's end", PATIENCE, || {
        // tmux 3.3a may miss the end of a lone child until another one ends.
        let _ = bob.home.tmux(&bob.identity, &["run-shell", "-b", "true"]);
        cmdline(server).is_empty()
    });
    wait_until("the record to be dropped", PATIENCE, || bob.home.session_json(&bob.identity).is_none());
    assert_eq!(bob.exits("session-exit").len(), 1);
    assert_eq!(bob.home.log("exits.log").len(), 1);
}

/// A program that ends during its boot: the launch records how.
#[test]
fn a_program_that_ends_at_once_is_recorded_by_the_launch() {
    let home = TestHome::new();
    home.parrot("bob", &[("PARROT_CRASH", "boot")]);
    assert_ne!(home.run("iapeer-wake", &["bob"]).code, 0);
    let exits = home.log("exits.log");
    assert_eq!(exits.len(), 1, "{exits:?}");
    assert_eq!(exits[0]["ev"], "session-exit");
    assert!(!exits[0]["dead_status"].is_empty() || !exits[0]["dead_signal"].is_empty(), "{exits:?}");
}

/// At most 2 MB while it watches.
#[test]
fn a_canary_is_small() {
    let bob = Watched::new(&[]);
    let status = fs::read_to_string(format!("/proc/{}/status", bob.canary())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    };
    eprintln!("VmRSS {} kB, of it anonymous {} kB", field("VmRSS:"), field("RssAnon:"));
    assert!(field("VmRSS:") <= 2048, "{status}");
}

/// The hook and the aliases go through tmux's parser, its formats and a shell: no path may break out of them.
#[test]
fn a_root_with_an_odd_name_is_quoted_everywhere() {
    let home = TestHome::new();
    let odd = home.dir().join("o'd #{pid} \"$X\" ~;");
    std::os::unix::fs::symlink(home.root(), &odd).unwrap();
    home.set("IAPEER_ROOT", &odd).set("IAPEER_SOCK_DIR", home.sockets());
    let bob = Watched { identity: home.parrot("bob", &[]), home };
    bob.wake();
    let server = bob.server();
    send(bob.recorded("pane"), Signal::SIGTERM);
    wait_until("the hook to clear the session away", PATIENCE, || {
        let _ = bob.home.tmux(&bob.identity, &["run-shell", "-b", "true"]);
        cmdline(server).is_empty() && bob.home.session_json(&bob.identity).is_none()
    });
    assert_eq!(bob.exits("session-exit").len(), 1);
    bob.wake();
    assert_eq!(bob.home.tmux(&bob.identity, &["kill-server"]).code, 0);
    assert_eq!(bob.server_exit()["cause"], "killed-by-command");
}

#[test]
fn nobody_to_watch_and_a_wrong_command_line_are_said() {
    let home = TestHome::new();
    let nobody = home.run("iapeer-canary", &["parrot-nobody"]);
    assert_eq!(nobody.code, 67, "{nobody}");
    home.parrot("ann", &[]);
    let ensured = home.run("iapeer-canary", &["--ensure", "parrot-ann"]);
    assert!(ensured.code == 69 && ensured.stdout == "parrot-ann  failed: no session to watch\n", "{ensured}");
    let ensured = home.run("iapeer-canary", &["--ensure", "parrot-ann", "--json"]).json();
    assert_eq!((&ensured["state"], &ensured["reason"]), (&json!("failed"), &json!("no session to watch")));
    assert!(!home.state("parrot-ann", "canary.lock"));
    let asleep = home.run("iapeer-canary", &["parrot-ann"]);
    assert_eq!(asleep.code, 69, "{asleep}");
    assert_eq!(home.run("iapeer-canary", &[]).code, 64);
    assert_eq!(home.run("iapeer-canary", &["--ensure", "nonsense"]).code, 67);
    assert_eq!(home.run("iapeer-canary", &["--ensure", "!?"]).code, 64);
    assert_eq!(home.ok("iapeer-canary", &["--report"]).stdout, "");
}

/// A memory cgroup of the test's own. This machine delegates no v2 controller: it is made below the v1 hierarchy,
/// which takes root.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// `None`, with a word on stderr, where such a cgroup can't be made.
    fn new(name: &str, limit: &str) -> Option<MemoryCgroup> {
        let group = MemoryCgroup(PathBuf::from(format!("/sys/fs/cgroup/memory/{name}")));
        let made = fs::create_dir(&group.0).and_then(|()| fs::write(group.0.join("memory.limit_in_bytes"), limit));
        // Swap would only make it slow; not every kernel counts it.
        let _ = fs::write(group.0.join("memory.memsw.limit_in_bytes"), limit);
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                eprintln!("SKIPPED: no v1 memory cgroup can be made here ({error})");
                None
            }
        }
    }

    fn take(&self, pid: i32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("a cgroup takes a process");
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let start = std::time::Instant::now();
        // Its processes may still be ending.
        while fs::remove_dir(&self.0).is_err() && start.elapsed() < Duration::from_secs(10) {
            for pid in fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The server itself is the OOM killer's victim: it is the one that eats memory, a buffer at a time.
#[test]
fn an_oom_kill_is_told_by_the_kernels_own_word() {
    let bob = Watched::new(&[]);
    let Some(group) = MemoryCgroup::new(&format!("iapeer-test-{}", std::process::id()), "24M") else { return };
    // The canary opens the counters of the cgroup that the server is in when it starts.
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    group.take(server);
    bob.tick();
    bob.client();
    let food = bob.home.dir().join("food");
    fs::write(&food, vec![b'x'; 4 << 20]).unwrap();
    wait_until("the server to be killed", PATIENCE, || {
        let name = format!("b{:?}", std::time::Instant::now());
        bob.home.tmux(&bob.identity, &["load-buffer", "-b", &name, food.to_str().unwrap()]).code != 0
    });
    let line = bob.server_exit();
    let forensics = fs::read_to_string(&line["forensics"]).unwrap();
    assert_eq!(line["cause"], "oom-kill", "{forensics}");
    assert!(forensics.contains("oom_kill rose by 1") && forensics.contains("Killed process"), "{forensics}");
}

/// The OOM killer took another process of the server's cgroup: a later kill of the server is not blamed on that.
#[test]
fn an_oom_kill_beside_the_server_is_not_its_own() {
    let bob = Watched::new(&[]);
    let Some(group) = MemoryCgroup::new(&format!("iapeer-test-beside-{}", std::process::id()), "24M") else { return };
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    group.take(server);
    bob.tick();
    bob.client();
    let glutton = format!("echo $$ > {}/cgroup.procs && exec tail /dev/zero", group.0.display());
    assert_eq!(bob.home.run("sh", &["-c", &glutton]).code, 128 + 9);
    assert!(bob.exits("server-exit").is_empty());
    send(server, Signal::SIGKILL);
    let line = bob.server_exit();
    assert_eq!(line["cause"], "signaled", "{line:?}");
}
