//! A fleet in one file: `iapeer up`, `diff`, `down`, `export` and `new-fleet`, with parrots.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod fleet {
    mod changes;
    mod examples;
    mod refusals;
    mod worktrees;
}
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::killing::{has_strace, killed_alone_at};
use support::{Output, PATIENCE, Terminal, TestHome, wait_until};

/// A home with a repository that holds the examples.
fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    for (name, value) in [("user.name", "n"), ("user.email", "n@example.invalid"), ("init.defaultBranch", "main")] {
        home.ok("git", &["config", "--global", name, value]);
    }
    let repo = repo(&home);
    fs::create_dir(&repo).unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), &repo.join("examples"));
    git(&home, &repo, &["init", "-q"]);
    git(&home, &repo, &["add", "-A"]);
    git(&home, &repo, &["commit", "-qm", "one"]);
    home
}

fn repo(home: &TestHome) -> PathBuf {
    home.dir().join("repo")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[track_caller]
fn git(home: &TestHome, dir: &Path, words: &[&str]) -> String {
    home.ok("git", &[&["-C", dir.to_str().unwrap()], words].concat()).stdout.trim().to_owned()
}

fn example(home: &TestHome, name: &str) -> String {
    repo(home).join(format!("examples/{name}.toml")).to_str().unwrap().to_owned()
}

/// Writes a fleet file, and returns its path.
fn file(home: &TestHome, text: &str) -> String {
    named_file(home, "team", text)
}

/// The same, of the fleet `name`.
fn named_file(home: &TestHome, name: &str, text: &str) -> String {
    let path = home.dir().join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, code, "{output}");
    assert_eq!(output.stderr.trim_end().lines().count(), 1, "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "{word:?} in {output}");
    }
}

#[track_caller]
fn nothing_to_do(home: &TestHome, file: &str) {
    let again = home.ok("iapeer", &["up", file]);
    assert!(again.stdout.ends_with("nothing to do\n") && !again.stdout.contains("create"), "{again}");
    let differs = home.ok("iapeer", &["diff", file]);
    assert_eq!(differs.stdout, "nothing differs\n", "{differs}");
}
