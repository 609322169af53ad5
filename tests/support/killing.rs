//! Killing a verb before each of its steps, by strace.

use super::{PATIENCE, TestHome};

/// Runs `iapeer` with `words`, killed when it is about to make the `n`-th call of `call`. Whether it was.
pub fn killed_at(home: &TestHome, call: &str, n: u32, words: &[&str]) -> bool {
    killed(home, &["-f"], call, n, words)
}

/// [`killed_at`] where programs that `iapeer` has started go on: only its own calls count.
pub fn killed_alone_at(home: &TestHome, call: &str, n: u32, words: &[&str]) -> bool {
    killed(home, &[], call, n, words)
}

fn killed(home: &TestHome, follow: &[&str], call: &str, n: u32, words: &[&str]) -> bool {
    let mut strace = home.cmd("strace");
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let trace = format!("trace={call}");
    strace.args(follow).args(["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
    strace.arg(super::bin("iapeer")).args(words);
    let ended = home.start(strace, None).wait(PATIENCE);
    assert!([0, 137].contains(&ended.code), "{words:?} killed at {call} {n}: {ended}");
    ended.code == 137
}

/// Whether strace is there and may trace; says so where it is not.
pub fn has_strace() -> bool {
    let tried = std::process::Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let works = tried.is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED: strace is not there, or may not trace");
    }
    works
}
