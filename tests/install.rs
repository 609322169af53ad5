//! `make install` and `make uninstall`: every file in its place, nothing left behind, and what is installed works.

#![allow(unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

mod support;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");
const LINUX: bool = cfg!(target_os = "linux");

/// `make TARGET` with nothing of the caller's but PATH; `home` is its home.
#[track_caller]
fn make(target: &str, home: &Path, variables: &[&str]) -> Output {
    // The Makefile asks rustc for its host, and rustup would settle in a home that has none.
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup = rustup.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    Command::new("make")
        .args(["-s", target])
        .args(variables)
        .current_dir(SOURCE)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .envs(rustup.map(|dir| ("RUSTUP_HOME", dir)))
        .output()
        .unwrap()
}

#[track_caller]
fn done(output: &Output) {
    let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy);
    assert!(output.status.success(), "{:?}: {}{}", output.status, said[0], said[1]);
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(SOURCE).join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn programs() -> Vec<String> {
    names("src/bin").iter().map(|page| page.strip_suffix(".rs").unwrap_or(page).to_owned()).collect()
}

/// Every file below `dir`, without `dir` in its name.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = vec![dir.to_owned()];
    while let Some(folder) = rest.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => rest.push(entry.path()),
                false => drop(found.insert(entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned())),
            }
        }
    }
    found
}

/// What belongs below a prefix; units are in `lib` or, below a home, in `share`.
fn wanted(units: &str) -> BTreeSet<String> {
    let mut wanted = BTreeSet::new();
    for program in programs() {
        wanted.insert(format!("bin/{program}"));
        wanted.insert(format!("share/man/man1/{program}.1"));
        wanted.insert(format!("share/bash-completion/completions/{program}"));
        wanted.insert(format!("share/zsh/site-functions/_{program}"));
        wanted.insert(format!("share/fish/vendor_completions.d/{program}.fish"));
    }
    wanted.extend(names("docs").iter().map(|page| format!("share/doc/iapeer/docs/{page}")));
    for page in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        wanted.insert(format!("share/doc/iapeer/{page}"));
    }
    wanted.extend(names("plists").iter().map(|plist| format!("share/iapeer/plists/{plist}")));
    wanted.extend(names("share/iapeer/notify").iter().map(|example| format!("share/iapeer/notify/{example}")));
    wanted.insert("share/iapeer/fleet.schema.json".into());
    wanted.extend(files(Path::new("examples")).iter().map(|example| format!("share/doc/iapeer/examples/{example}")));
    if LINUX {
        wanted.extend(names("units").iter().map(|unit| format!("{units}/systemd/user/{unit}")));
    }
    wanted
}

/// The front, which writes manual and completions, and stand-ins for the others: they are large.
fn built(dir: &Path) -> String {
    let built = dir.join("built");
    fs::create_dir(&built).unwrap();
    for program in programs() {
        let to = built.join(&program);
        match program == "iapeer" {
            true => std::os::unix::fs::symlink(support::bin(&program), to).unwrap(),
            false => fs::write(to, "#!/bin/sh\n").unwrap(),
        }
    }
    format!("BUILT={}", built.display())
}

#[test]
fn a_package_gets_every_file_in_its_place_and_uninstall_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("dest");
    let destdir = format!("DESTDIR={}", dest.display());
    done(&make("install", dir.path(), &[&built(dir.path()), &destdir, "PREFIX=/usr"]));
    let below = |file: &String| format!("usr/{file}");
    assert_eq!(files(&dest), wanted("lib").iter().map(below).collect());

    for file in files(&dest) {
        let path = dest.join(&file);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        let runs = file.starts_with("usr/bin/") || file.starts_with("usr/share/iapeer/notify/");
        assert_eq!(mode, if runs { 0o755 } else { 0o644 }, "{file}");
        if file.starts_with("usr/bin/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(dest.to_str().unwrap()), "{file} names where it was put together");
        for line in text.lines().filter(|line| line.starts_with("ExecStart=")) {
            let program = line["ExecStart=".len()..].split(' ').next().unwrap();
            let ours = program.strip_prefix("/usr/bin/").is_some_and(|name| programs().iter().any(|p| p == name));
            assert!(ours || program == "/usr/bin/systemctl", "{file}: {line}");
        }
    }

    done(&make("uninstall", dir.path(), &[&destdir, "PREFIX=/usr"]));
    assert!(!dest.exists() || fs::read_dir(&dest).unwrap().next().is_none(), "left: {:?}", fs::read_dir(&dest));
}

#[test]
fn at_home_it_runs_and_what_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let built = format!("BUILT={}", support::bin_dir().display());
    done(&make("install", &home, &[&built]));
    assert_eq!(files(&home.join(".local")), wanted("share"));
    if LINUX {
        let drain = fs::read_to_string(home.join(".local/share/systemd/user/iapeer-drain.service")).unwrap();
        assert!(drain.contains(&format!("\nExecStart={}/.local/bin/iapeer-drain --all\n", home.display())), "{drain}");
    }
    for program in programs() {
        let output = Command::new(home.join(".local/bin").join(&program)).arg("--version").output().unwrap();
        done(&output);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), format!("{program} {}", env!("CARGO_PKG_VERSION")));
    }
    // Over what is there already, programs in use too.
    done(&make("install", &home, &[&built]));

    let own = [".local/bin/own", ".local/share/systemd/user/own.service", ".config/systemd/user/own.timer"];
    for path in own.map(|path| home.join(path)) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    done(&make("uninstall", &home, &[]));
    let left = files(&home);
    assert_eq!(left, own.iter().map(|path| path.to_string()).collect());
    assert!(!home.join(".local/share/doc").exists());
}

#[test]
fn a_prefix_that_units_could_not_name_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let built = built(dir.path());
    let dest = dir.path().join("dest");
    let destdir = format!("DESTDIR={}", dest.display());
    for prefix in ["PREFIX=usr", "PREFIX=/opt/two words", "PREFIX=/opt/50%"] {
        let output = make("install", dir.path(), &[&built, &destdir, prefix]);
        assert!(!output.status.success(), "{prefix}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("install: "), "{output:?}");
        assert!(!dest.exists(), "{prefix}");
    }
}

/// Runs a checker over `files`; left out, in words, where the machine has none.
#[track_caller]
fn check(checker: &[&str], files: &[PathBuf]) {
    match Command::new(checker[0]).args(&checker[1..]).args(files).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => eprintln!("LEFT OUT: no {}", checker[0]),
        Err(error) => panic!("{}: {error}", checker[0]),
        Ok(output) => {
            let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
            assert!(output.status.success() && said.is_empty(), "{checker:?}: {:?} {said}", output.status);
        }
    }
}

#[test]
fn manual_pages_and_completions_load() {
    let dir = tempfile::tempdir().unwrap();
    let files_of = |folder: &str, verb: &[&str]| -> Vec<PathBuf> {
        let to = dir.path().join(folder);
        done(&Command::new(support::bin("iapeer")).args(verb).arg(&to).output().unwrap());
        files(&to).iter().map(|file| to.join(file)).collect()
    };
    let pages = files_of("man", &["man"]);
    assert_eq!(pages.len(), programs().len());
    check(&["mandoc", "-T", "lint", "-W", "error"], &pages);
    check(&["groff", "-k", "-man", "-Tutf8", "-ww", "-z"], &pages);
    for shell in ["bash", "zsh", "fish"] {
        for script in files_of(shell, &["completions", shell]) {
            check(&[shell, "-n"], &[script]);
        }
    }
    // Loaded as the shell does, it knows the verbs.
    let script = dir.path().join("bash/iapeer");
    let ask = "source \"$1\"; complete -p iapeer >/dev/null; COMP_CWORD=1; \
               COMP_WORDS=(iapeer sen); _iapeer iapeer sen iapeer; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", ask, "bash"]).arg(&script).output().unwrap();
    done(&output);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "send");
}
