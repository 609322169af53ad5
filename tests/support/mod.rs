//! The one test environment: a throw-away root, home and set of tmux servers, gone when the test ends.
//!
//! Every program under test runs in a [`TestHome`]. Nothing of the caller's environment reaches it, so a test
//! can neither see the real `~/.iapeer` nor a tmux server that it did not start, and tests run side by side.

// Each file under tests/ is a crate of its own and uses only some of this.
#![allow(dead_code, unused_imports)]

mod chance;
mod ending;
pub mod killing;
pub mod mail;
pub mod nats;
pub mod netns;
mod reading;
pub mod replacing;
#[cfg(feature = "failpoints")]
pub mod rooms;
mod running;
#[cfg(feature = "failpoints")]
pub mod scenario;
pub mod ssh;
#[cfg(feature = "failpoints")]
pub mod stories;
pub mod telegram;
mod terminal;
pub mod untyped;

pub use chance::Chance;
pub use reading::{LogLine, bodies_in, count_items, logfmt};
pub use running::{Output, Running};
pub use terminal::Terminal;

use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a program may take before the test gives it up; longer than any boot the tests ask for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the lock at `path`, as a program of ours does, until what is returned is dropped.
pub fn hold(path: &Path) -> iapeer::store::FileLock {
    let clock = iapeer::base::SystemClock::default();
    iapeer::store::FileLock::acquire_unsigned(path, Duration::ZERO, &clock).unwrap()
}

/// A home with the peers bob and ann, who runs with `vars` in her environment.
pub fn home_with(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", vars);
    home
}

/// The folder of the programs under test.
///
/// Cargo tells a test where a program is, at run time under nextest and at compile time always; a package
/// without that program yet has its programs two folders above the test itself.
pub fn bin_dir() -> PathBuf {
    let told = std::env::var_os("CARGO_BIN_EXE_iapeer").map(PathBuf::from);
    let told = told.filter(|path| path.exists()).or_else(|| option_env!("CARGO_BIN_EXE_iapeer").map(PathBuf::from));
    let program = told.unwrap_or_else(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        test.parent().expect("target/PROFILE/deps").to_owned()
    });
    program.parent().expect("a program lives in a folder").to_owned()
}

/// The path of a program under test.
pub fn bin(program: &str) -> PathBuf {
    bin_dir().join(program)
}

/// As root, runs the test `name` of this file once more as a user that is not, for whom modes and owners count; says so
/// where that can't be done. Does nothing for a user that is none.
pub fn once_more_without_root(name: &str) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let as_nobody = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program).current_dir("/");
        command
    };
    let may = [bin("iapeer"), test.clone()].iter().all(|program| {
        let tried = as_nobody(Path::new("test")).arg("-x").arg(program).status();
        tried.is_ok_and(|status| status.success())
    });
    if !may {
        return eprintln!("SKIPPED: {name} as a user that is not root (there is no setpriv, or it may not go there)");
    }
    let ran = as_nobody(&test).args(["--exact", name, "--nocapture"]).output().expect("setpriv ran a moment ago");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{name}, as a user that is not root:\n{said}");
    assert!(said.contains("1 passed"), "{name} is no test of this file:\n{said}");
    said.lines().filter(|line| line.starts_with("bad state")).for_each(|line| println!("as nobody: {line}"));
}

/// What a script runs in a pane before it ends, as `iapeer::parrot::last_words` does: the terminal's answer proves that what was
/// printed is read. tmux drops what the kernel has not handed over by the moment of the end, once in some thousand ends.
pub const UNTIL_READ: &str =
    "stty raw -echo min 0 time 50; printf '\\033[6n'; dd bs=1 count=1 >/dev/null 2>&1; stty sane";

/// Polls `ready` until it is true; panics with `what` when `patience` is over.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut ready: impl FnMut() -> bool) {
    wait_for(what, patience, || ready().then_some(()));
}

/// Polls `ready` until it is true; `false` where that takes longer than `patience`.
pub fn soon(patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !ready() {
        if start.elapsed() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Polls `ready` until it gives a value; panics with `what` when `patience` is over.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < patience, "waited {patience:?} in vain for: {what}");
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(50));
    }
}

/// A throw-away home. Dropping it ends every process that was started in it and removes its files, after a
/// panic too; then it first prints what the home knew. `IAPEER_TEST_KEEP=1` keeps the files.
#[derive(Debug)]
pub struct TestHome {
    dir: PathBuf,
    env: Mutex<BTreeMap<String, OsString>>,
    /// The process in whose network namespace commands run.
    within: Mutex<Option<i32>>,
    runs: AtomicU32,
}

impl TestHome {
    /// A fresh home under `/tmp`, whose path is short enough for the socket of the longest identity.
    #[track_caller]
    pub fn new() -> TestHome {
        TestHome::named("iap.")
    }

    /// In a folder whose name begins with `prefix`.
    pub fn named(prefix: &str) -> TestHome {
        // Short, since sockets are in it.
        let place = std::env::var("IAPEER_TEST_DIR").unwrap_or("/tmp".into());
        let made = tempfile::Builder::new().prefix(prefix).rand_bytes(6).tempdir_in(place).expect("it is writable");
        // Canonical, since programs print canonical paths (/tmp is a link on macOS). From here Drop removes it.
        let dir = made.keep().canonicalize().expect("the folder just made is there");
        for name in ["home", "root", "tmp", "out"] {
            DirBuilder::new().mode(0o700).create(dir.join(name)).expect("a fresh folder takes a new one");
        }
        // Another tmux than the system's, to try everything with it.
        let tmux = std::env::var("IAPEER_TEST_TMUX_DIR").map_or(String::new(), |dir| format!("{dir}:"));
        let path = format!("{}:{tmux}/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin", bin_dir().display());
        let mut env = BTreeMap::from([
            ("IAPEER_ROOT".to_owned(), dir.join("root").into()),
            ("HOME".to_owned(), dir.join("home").into()),
            ("TMPDIR".to_owned(), dir.join("tmp").into()),
            // A tmux call that forgets its socket must not reach the server of whoever runs the tests.
            ("TMUX_TMPDIR".to_owned(), dir.join("tmp").into()),
            ("PATH".to_owned(), path.into()),
            ("LANG".to_owned(), "C.UTF-8".into()),
        ]);
        for name in ["LLVM_PROFILE_FILE", "RUST_BACKTRACE"] {
            if let Some(value) = std::env::var_os(name) {
                env.insert(name.to_owned(), value);
            }
        }
        // Sessions as units of a user manager that exists for these tests alone (tools/test-units).
        if std::env::var_os("IAPEER_TEST_USER_MANAGER").is_some_and(|given| given == "1") {
            env.extend(std::env::var_os("XDG_RUNTIME_DIR").map(|dir| ("XDG_RUNTIME_DIR".to_owned(), dir)));
        }
        TestHome { dir, env: Mutex::new(env), within: Mutex::new(None), runs: AtomicU32::new(0) }
    }

    /// Sets a variable for all later commands.
    pub fn set(&self, name: &str, value: impl Into<OsString>) -> &Self {
        self.env.lock().unwrap().insert(name.to_owned(), value.into());
        self
    }

    /// Takes a variable away from all later commands.
    pub fn unset(&self, name: &str) -> &Self {
        self.env.lock().unwrap().remove(name);
        self
    }

    /// Has all later commands run in the network namespace of the process `pid`.
    pub fn move_to(&self, pid: i32) -> &Self {
        *self.within.lock().unwrap() = Some(pid);
        self
    }

    /// The folder that holds everything of this home.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `IAPEER_ROOT`.
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// `HOME`, where commands start.
    pub fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// The folder of the tmux sockets.
    pub fn sockets(&self) -> PathBuf {
        self.root().join("socks")
    }

    /// `<root>/state/lifecycle`.
    pub fn state_dir(&self) -> PathBuf {
        self.root().join("state/lifecycle")
    }

    /// Waits until nobody is at work on a peer: a drain lets go a moment after its message is seen to be delivered.
    #[track_caller]
    pub fn at_rest(&self, identity: &str) {
        let lock = self.state_dir().join(format!("{identity}.lock"));
        // Seen, not tried: a drain that begins in the instant of a try finds the lock taken, and leaves.
        wait_until("the drain to let go", Duration::from_secs(60), || !iapeer::store::lock::is_seen_held(&lock));
    }

    /// A command in this home: a program under test by its name, any other from the system's PATH.
    pub fn cmd(&self, program: &str) -> Command {
        let ours = bin(program);
        let program = if ours.exists() { ours.as_os_str() } else { program.as_ref() };
        let within = *self.within.lock().unwrap();
        let mut command = within.map_or_else(|| Command::new(program), |pid| netns::command_in(pid, program));
        command.env_clear().envs(&*self.env.lock().unwrap()).current_dir(self.home());
        command
    }

    /// Runs a program to its end with nothing on stdin.
    #[track_caller]
    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        self.spawn(program, args).wait(PATIENCE)
    }

    /// Runs a program to its end with `stdin` as its input.
    #[track_caller]
    pub fn run_with(&self, program: &str, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = self.cmd(program);
        command.args(args);
        self.start(command, Some(stdin)).wait(PATIENCE)
    }

    /// Runs a program that must succeed, and returns what it printed.
    #[track_caller]
    pub fn ok(&self, program: &str, args: &[&str]) -> Output {
        let output = self.run(program, args);
        assert_eq!(output.code, 0, "{program} {args:?} failed: {output}");
        output
    }

    /// Starts a program with nothing on stdin; it is killed if it still runs when the value is dropped.
    #[track_caller]
    pub fn spawn(&self, program: &str, args: &[&str]) -> Running {
        let mut command = self.cmd(program);
        command.args(args);
        self.start(command, None)
    }

    /// Starts a command made by [`TestHome::cmd`]. Output goes to files: unlike a pipe, they need no reader and
    /// do not stay open for what the program leaves behind.
    #[track_caller]
    pub fn start(&self, command: Command, stdin: Option<&[u8]>) -> Running {
        let n = self.runs.fetch_add(1, Ordering::Relaxed);
        Running::start(command, stdin, &self.dir.join("out"), n)
    }

    /// Creates peer `name` on the parrot with `vars` in its launch environment; its submitted messages are
    /// recorded. Returns the identity.
    #[track_caller]
    pub fn parrot(&self, name: &str, vars: &[(&str, &str)]) -> String {
        self.ok("iapeer", &["create", name, "--runtime", "parrot"]);
        self.launch_env(name, vars);
        format!("parrot-{name}")
    }

    /// Writes the parrot's launch environment of peer `name` anew: `vars` and where it records.
    #[track_caller]
    pub fn launch_env(&self, name: &str, vars: &[(&str, &str)]) {
        let folder = self.cwd(name).join(".iapeer/runtimes/parrot");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).expect("a peer's folder is writable");
        let mut text = format!("PARROT_RECORD={}\n", self.record_path(name).display());
        for (key, value) in vars {
            text += &format!("{key}={value}\n");
        }
        fs::write(folder.join("launch.env"), text).expect("a peer's folder is writable");
    }

    /// Has parrots that are started from now on begin only when a file is there, whose path is returned: as long as the test
    /// wants, a boot is under way.
    #[track_caller]
    pub fn hold_boots(&self) -> PathBuf {
        let (program, go) = (self.dir.join("held-parrot"), self.dir.join("go"));
        let parrot = bin("iapeer-parrot");
        let script =
            format!("until [ -e \"${{0%/*}}/go\" ]; do sleep 0.02; done\nexec '{}' \"$@\"\n", parrot.display());
        fs::write(&program, format!("#!/bin/sh\n{script}")).expect("the test's folder is writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a file of our own");
        self.set("IAPEER_PARROT_BIN", program);
        go
    }

    /// The working folder of peer `name`, as the registry says.
    #[track_caller]
    pub fn cwd(&self, name: &str) -> PathBuf {
        let registry = read_json(&self.root().join("peers-profiles.json")).expect("a created peer is in the registry");
        let peers = registry["peers"].as_array().expect("the registry lists peers");
        let peer = peers.iter().find(|peer| peer["personality"] == name).unwrap_or_else(|| panic!("no peer {name}"));
        PathBuf::from(peer["cwd"].as_str().expect("a record has a cwd"))
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.record"))
    }

    /// What parrot `name` was given, oldest first: one value per submitted message. A line still being written
    /// is not there yet.
    #[track_caller]
    pub fn record(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.record_path(name)).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}"))).collect()
    }

    /// The message bodies that parrot `name` was given, out of their envelopes, in order.
    #[track_caller]
    pub fn bodies(&self, name: &str) -> Vec<String> {
        let submitted = self.record(name);
        submitted.iter().flat_map(|line| bodies_in(line["text"].as_str().unwrap_or_default())).collect()
    }

    /// Runs tmux on the server of `identity`.
    #[track_caller]
    pub fn tmux(&self, identity: &str, args: &[&str]) -> Output {
        let mut command = self.cmd("tmux");
        command.arg("-S").arg(self.sockets().join(format!("tmux-iap-{identity}.sock"))).args(args);
        self.start(command, None).wait(PATIENCE)
    }

    /// What the session of `identity` shows; empty where there is none.
    #[track_caller]
    pub fn screen(&self, identity: &str) -> String {
        let shot = self.tmux(identity, &["capture-pane", "-p", "-t", &format!("={identity}:")]);
        if shot.code == 0 { shot.stdout } else { String::new() }
    }

    /// The pid of the tmux server of `identity`.
    #[track_caller]
    pub fn server_pid(&self, identity: &str) -> Option<i32> {
        let told = self.tmux(identity, &["display-message", "-p", "-t", &format!("={identity}:"), "#{pid}"]);
        (told.code == 0).then(|| told.stdout.trim().parse().ok()).flatten()
    }

    /// The session record of `identity`.
    pub fn session_json(&self, identity: &str) -> Option<Value> {
        read_json(&self.state_dir().join(format!("{identity}.session")))
    }

    /// Whether `identity` has the state file `kind`.
    pub fn state(&self, identity: &str, kind: &str) -> bool {
        self.state_dir().join(format!("{identity}.{kind}")).exists()
    }

    /// The lines of an event log, oldest first; none where there is no log. A line still being written is not there yet.
    #[track_caller]
    pub fn log(&self, name: &str) -> Vec<LogLine> {
        let text = fs::read_to_string(self.root().join("logs/iapeer").join(name)).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|line| logfmt(line).unwrap_or_else(|| panic!("not logfmt, in {name}: {line:?}"))).collect()
    }

    /// How many messages of `identity` are waiting, in flight and dead.
    pub fn queue(&self, identity: &str) -> (usize, usize, usize) {
        let queue = self.state_dir().join(format!("{identity}.queue"));
        (count_items(&queue), count_items(&queue.join("inflight")), count_items(&queue.join("dead")))
    }
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// A small tmpfs, gone with the value.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of 64 KiB at `at`. `None`: this user may not mount.
    pub fn mount(at: &Path) -> Option<SmallDisk> {
        SmallDisk::mount_with(at, "size=64k,mode=700")
    }

    /// Mounts one at `at` whose files can't be executed. `None`: this user may not mount.
    pub fn mount_noexec(at: &Path) -> Option<SmallDisk> {
        SmallDisk::mount_with(at, "size=64k,mode=700,noexec")
    }

    /// Mounts one with these options of mount(8). `None`: this user may not mount.
    pub fn mount_with(at: &Path, options: &str) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "small"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
