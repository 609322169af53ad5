//! Under a real systemd: sessions as units, timers and path units, always-on peers, lingering, packages.
//!
//! `tests/support/with-systemd` boots one in a throw-away copy of this machine and runs a scenario of
//! `tests/support/systemd/` in it, as an ordinary user. That takes root and Debian's systemd packages; where they are
//! missing the scenario is left out and says so, with `CI=true` it fails.

#![allow(unreachable_pub, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What with-systemd exits with where it can't run.
const SKIPPED: i32 = 77;

/// Programs and scenarios where an ordinary user may read them: the repository may be in root's home.
fn stage() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("iap-systemd.").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (from, to) in [(support::bin_dir(), "bin"), (source.join("tests/support/systemd"), "scenarios")] {
        let to = dir.path().join(to);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let ours = name.to_string_lossy().starts_with("iapeer") && entry.path().extension().is_none();
            if ours || from.ends_with("systemd") {
                link(&entry.path(), &to.join(&name));
            }
        }
    }
    let stub = "telegram_stub.py";
    link(&source.join("tests/support").join(stub), &dir.path().join("scenarios").join(stub));
    dir
}

/// A link where that is possible, else a copy: all programs together are large.
fn link(from: &Path, to: &Path) {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)).unwrap();
}

/// Runs a scenario, with options of with-systemd.
#[track_caller]
fn scenario(name: &str, options: &[&str]) {
    scenario_on(name, options, stage().path());
}

#[track_caller]
fn scenario_on(name: &str, options: &[&str], stage: &Path) {
    let tool: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/with-systemd");
    let output = Command::new(tool)
        .args(options)
        .arg("--env")
        .arg(format!("IAPEER_BIN={}", stage.join("bin").display()))
        .arg("--")
        .arg(stage.join("scenarios").join(name))
        .env_clear()
        .envs(["CI", "WITH_SYSTEMD_DEBUG"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => {}
        Some(SKIPPED) if std::env::var_os("CI").is_none_or(|ci| ci != "true") => {
            eprintln!("LEFT OUT: {name}: {said}");
        }
        status => panic!("{name} ended with {status:?}:\n{said}"),
    }
}

#[test]
fn a_session_is_a_unit_of_its_own() {
    scenario("session.sh", &[]);
}

#[test]
fn without_a_user_manager_a_session_is_a_process_session() {
    scenario("no_manager.sh", &[]);
}

#[test]
fn units_run_by_themselves_and_leave_nothing() {
    scenario("units.sh", &[]);
}

#[test]
fn a_session_outlives_all_but_the_end_of_its_own_unit() {
    scenario("ends.sh", &[]);
}

#[test]
fn a_schedule_fires_by_itself_and_leaves_nothing() {
    scenario("schedule.sh", &[]);
}

#[test]
fn an_always_on_peer_is_held_from_create_to_remove() {
    scenario("always_on.sh", &[]);
}

#[test]
fn a_bridge_to_telegram_is_up_from_connect_on_and_back_after_a_kill() {
    scenario("telegram.sh", &[]);
}

#[test]
fn the_relay_to_other_hosts_is_up_where_there_is_a_server_and_back_after_a_kill() {
    scenario("relay.sh", &[]);
}

#[test]
fn sessions_outlive_the_logout_of_a_user_who_lingers() {
    scenario("linger.sh", &["--user", "root"]);
}

/// The programs without what only a debugger wants: a package of them is made in seconds.
fn stripped(stage: &Path) -> PathBuf {
    let to = stage.join("stripped");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(stage.join("bin")).unwrap().map(Result::unwrap) {
        let strip = Command::new("strip").arg("-o").arg(to.join(entry.file_name())).arg(entry.path()).status().unwrap();
        assert!(strip.success());
    }
    to
}

#[test]
fn a_package_installs_works_from_usr_bin_and_leaves_nothing() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let has_cargo_deb = Command::new(&cargo).args(["deb", "--version"]).output().is_ok_and(|ran| ran.status.success());
    if !has_cargo_deb && std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        return eprintln!("LEFT OUT: the package: no cargo-deb (tools/ensure-cargo-deb installs it)");
    }
    let stage = stage();
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/deb"))
        .arg(stripped(stage.path()))
        .arg(stage.path().join("deb"))
        .args(["--fast", "--compress-type", "gz", "--compress-system", "--offline"])
        .env("CARGO", cargo)
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(made.status.success(), "tools/deb: {}", String::from_utf8_lossy(&made.stderr));
    scenario_on("package.sh", &["--user", "root"], stage.path());
}
