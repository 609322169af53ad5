//! What a person at a terminal is told beside the results: how far a wake has come, what a table's signs mean, colours.
//! Elsewhere nothing of that is printed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use support::{Terminal, TestHome, bin, wait_until};

#[test]
fn a_wake_says_how_far_it_has_come() {
    let home = TestHome::new();
    home.parrot("ann", &[("PARROT_DIALOG", "trust")]);
    let go = home.hold_boots();
    let person = Terminal::running(&home, &["sh"]);
    person.types(&format!("{} ann", bin("iapeer-wake").display()));
    person.enter();
    person.shows("parrot-ann: booting (");
    let screen = person.screen();
    let took = screen.split("parrot-ann: booting (").nth(1).and_then(|rest| rest.split("s)").next()).unwrap();
    assert!(took.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{screen}");
    std::fs::write(go, "").unwrap();
    person.shows("parrot-ann: ready (");
    home.ok("iapeer-reap", &["ann"]);
    // Into a pipe the result alone.
    let woken = home.ok("iapeer-wake", &["ann"]);
    assert!(!woken.stderr.contains("booting"), "{woken}");
}

#[test]
fn a_table_explains_its_signs_at_a_terminal() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("bob", &[]);
    home.parrot("ann", &[("PARROT_DIALOG", "login")]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "-m", "x"]);
    wait_until("the login", support::PATIENCE, || home.run("iapeer", &["attention"]).stdout.contains("login"));
    let plain = home.ok("iapeer", &["list"]).stdout;
    assert_eq!(plain.lines().count(), 3, "{plain}");
    let person = Terminal::running(&home, &["sh"]);
    person.types(&format!("{} list", bin("iapeer").display()));
    person.enter();
    person.shows("a peer on top waits for somebody: `iapeer attention` says for what");
    // Colour where it is asked for, and only there.
    let coloured = home.run("iapeer", &["attention", "--color", "always"]).stdout;
    assert!(coloured.contains("\x1b[1;31mlogin\x1b[0m"), "{coloured:?}");
    assert!(!home.run("iapeer", &["attention"]).stdout.contains('\x1b'));
}

/// Every program takes a name as people write it, also one that reads like an identity.
#[test]
fn a_name_is_a_name_for_every_program() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("code-review", &[]);
    home.ok("iapeer-wake", &["Code Review"]);
    let canary = home.state_dir().join("parrot-code-review.canary.lock");
    wait_until("its canary", support::PATIENCE, || iapeer::store::lock::is_held(&canary));
    for name in ["code-review", "Code Review", "parrot-code-review"] {
        let ensured = home.ok("iapeer-canary", &["--ensure", name, "--json"]).json();
        assert_eq!(
            (&ensured["identity"], &ensured["state"]),
            (&"parrot-code-review".into(), &"already".into()),
            "{name}"
        );
        // A canary watches already: each is content with that, which an unknown name would not be.
        home.ok("iapeer-canary", &[name]);
        let held = home.run("iapeer-run", &[name]);
        assert!(held.code == 69 && held.stderr.contains("parrot-code-review is not on an always-on runtime"), "{held}");
        home.ok("iapeer-drain", &["--list", name]);
        home.ok("iapeer-superviser", &["--only", name, "--dry-run"]);
    }
    for program in ["iapeer-canary", "iapeer-run", "iapeer-wake", "iapeer-reap"] {
        assert_eq!(home.run(program, &["nobody"]).code, 67, "{program}");
    }
    home.ok("iapeer-reap", &["Code Review"]);
}
