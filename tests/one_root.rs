//! Two roots on one host: what belongs to the one is never the other's.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use support::{TestHome, once_more_without_root};

#[test]
fn a_folder_of_sockets_belongs_to_one_root() {
    let (one, two) = (TestHome::new(), TestHome::new());
    // The folder of the other root's own, and one that both name.
    for shared in [one.sockets(), one.dir().join("shared")] {
        for home in [&one, &two] {
            home.set("IAPEER_SOCK_DIR", &shared);
        }
        for name in ["ann", "bob"] {
            one.parrot(name, &[]);
        }
        one.ok("iapeer-send", &["bob", "--from", "ann", "-m", "hello"]);
        let socket = shared.join("tmux-iap-parrot-bob.sock");
        assert!(socket.exists());
        // Another root's bob would be this session, and be ended or written to for that one.
        for words in [
            &["iapeer", "list"][..],
            &["iapeer", "create", "bob", "--runtime", "parrot"],
            &["iapeer", "doctor"],
            &["iapeer", "doctor", "--fix"],
            &["iapeer-send", "bob", "--from", "ann", "-m", "not for that one"],
            &["iapeer-superviser"],
            &["iapeer-reap", "bob"],
        ] {
            let refused = two.run(words[0], &words[1..]);
            let said = format!("{}{}", refused.stdout, refused.stderr);
            assert_eq!(refused.code, 78, "{words:?}: {refused}");
            assert!(said.contains("set IAPEER_SOCK_DIR to another folder"), "{words:?}: {refused}");
            assert!(said.contains(&one.root().display().to_string()), "{words:?}: {refused}");
        }
        one.ok("iapeer-send", &["bob", "--from", "ann", "-m", "again"]);
        assert_eq!(one.bodies("bob").last().unwrap(), "again");
        for name in ["ann", "bob"] {
            one.ok("iapeer", &["remove", name, "--force"]);
        }
    }
    // A root that is gone has no sessions.
    fs::rename(one.root(), one.dir().join("away")).unwrap();
    two.ok("iapeer", &["doctor"]);
    two.ok("iapeer", &["create", "bob", "--runtime", "parrot"]);
    assert_eq!(fs::read_link(one.dir().join("shared/iapeer-root")).unwrap(), two.root());
}

#[test]
fn a_folder_of_sockets_that_may_not_be_read_is_refused_and_named() {
    once_more_without_root("a_folder_of_sockets_that_may_not_be_read_is_refused_and_named");
    // For root no mode counts.
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let home = TestHome::new();
    let shared = home.dir().join("shared");
    home.set("IAPEER_SOCK_DIR", &shared);
    for name in ["ann", "bob"] {
        home.parrot(name, &[]);
    }
    fs::set_permissions(&shared, Permissions::from_mode(0o000)).unwrap();
    let refused = home.run("iapeer-send", &["bob", "--from", "ann", "-m", "hello"]);
    let doctor = home.run("iapeer", &["doctor"]);
    fs::set_permissions(&shared, Permissions::from_mode(0o700)).unwrap();
    assert_eq!((refused.code, refused.stderr.lines().count()), (77, 1), "{refused}");
    let todo = format!("chmod 700 {}", shared.display());
    assert!(doctor.code != 0 && doctor.stdout.contains(&todo), "{doctor}");
    home.ok("iapeer-send", &["bob", "--from", "ann", "-m", "hello"]);
}
