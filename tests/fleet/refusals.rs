//! What a fleet file must not hold: mistakes, each refused with its line and column, and secrets.

use crate::*;

#[test]
fn what_is_wrong_is_refused_with_its_place_and_nothing_is_changed() {
    let home = home();
    let fine = "[peers.al]\nruntime = \"parrot\"\n";
    home.ok("iapeer", &["up", &file(&home, fine)]);
    let registry = || fs::read(home.root().join("peers-profiles.json")).unwrap();
    let before = registry();
    let repo = repo(&home);
    let repo = repo.display();
    let deep = "[".repeat(5000);
    for (text, code, at, why) in [
        ("[peers.bob]\nruntme = \"parrot\"", 78, ":4:1:", "did you mean `runtime`?"),
        ("[peers.bob]\nruntime = \"nobody\"", 78, ":4:1:", "nobody"),
        ("[peers.bob]\nruntime = 3", 78, ":4:11:", "expected a string"),
        ("[peers.bob", 78, ":3:11:", "unclosed table"),
        ("[peers.Bob]", 78, ":3:8:", "a-z"),
        ("[peers.iapeer]", 64, ":3:8:", "reserved"),
        ("[peers.bob]\nrole = { file = \"nowhere.md\" }", 78, ":4:1:", "nowhere.md is missing"),
        ("[peers.bob]\nenv_file = \"nowhere.env\"", 78, ":4:1:", "nowhere.env is missing"),
        ("[peers.bob]\nenv = { GITHUB_TOKEN = \"x\" }", 78, ":4:9:", "env_file"),
        ("[peers.bob]\nenv = { PEER_IDENTITY = \"x\" }", 78, ":4:9:", "set by iapeer"),
        ("[peers.bob]\napprovals = \"never\"", 78, ":4:1:", "ask, bypass"),
        ("[peers.bob]\nimports = \"maybe\"", 78, ":4:1:", "ask, allow, deny"),
        ("[peers.bob]\nlimits = { memory_max = \"2GB\" }", 78, ":4:12:", "no limit"),
        ("[peers.bob]\ntags = [\"A b\"]", 78, ":4:1:", "no tag"),
        ("[peers.bob]\nfolder = \"elsewhere\"", 64, ":3:8:", "1:1"),
        ("[peers.bob]\nruntime = \"person\"\nargs = [\"x\"]", 78, ":5:1:", "about sessions"),
        ("[peers.bob]\nworktree = { repo = \"/\", branch = \"x\" }", 78, ":4:14:", "not a git repository"),
        ("[peers.bob]\nworktree = { repo = \"REPO\", branch = \"main\" }", 78, ":4:", "is checked out in"),
        ("[peers.bob]\nworktree = { repo = \"REPO\", branch = \"a..b\" }", 78, ":4:", "name of a branch"),
        ("[peers.bob]\nworktree = { repo = \"REPO\", branch = \"x\", base = \"gone\" }", 78, ":4:", "no commit"),
        ("[peers.bob]\nrenamed_from = \"carl\"", 78, ":4:1:", "no peer carl"),
        ("[fleet]\nowner = \"carl\"", 78, ":4:1:", "carl is no peer"),
        ("[fleet]\nowner = \"al\"", 78, ":4:1:", "no person"),
        ("[fleet]\nname = \"A B\"", 78, ":4:1:", "no name for a fleet"),
        ("[schedules.x]\nto = \"al\"\nmessage = \"m\"", 78, ":3:12:", "one of on_calendar"),
        ("[schedules.x]\nto = \"al\"\nevery = \"soon\"\nmessage = \"m\"", 78, ":5:1:", "90s"),
        ("[schedules.x]\nto = \"carl\"\nevery = \"1h\"\nmessage = \"m\"", 78, ":4:1:", "no peer of this file"),
        ("[schedules.x]\nto = \"al\"\nevery = \"1h\"", 78, ":3:12:", "message_file"),
        ("[hosts.box]\ndestination = \"-x\"", 78, ":4:1:", "user@machine"),
        ("[hosts.Box]\ndestination = \"x\"", 78, ":3:8:", ""),
        (&format!("x = {deep}"), 78, ":3:", ""),
    ] {
        let text = format!("{fine}{}", text.replace("REPO", &repo.to_string()));
        let path = file(&home, &text);
        for verb in [&["up", &path][..], &["up", "--dry-run", &path], &["diff", &path]] {
            refused(&home.run("iapeer", verb), code, &[&format!("team.toml{at}"), why]);
        }
        assert_eq!(registry(), before, "{text}");
    }
    fs::write(home.dir().join("team.toml"), b"[peers.al]\n# \xff").unwrap();
    refused(&home.run("iapeer", &["up", home.dir().join("team.toml").to_str().unwrap()]), 78, &[":2:3:", "UTF-8"]);
    fs::write(home.dir().join("team.toml"), vec![b'#'; 2 << 20]).unwrap();
    refused(&home.run("iapeer", &["up", home.dir().join("team.toml").to_str().unwrap()]), 78, &["team.toml"]);
    refused(&home.run("iapeer", &["up", "/nowhere.toml"]), 66, &["new-fleet"]);
    assert_eq!(registry(), before);
}

#[test]
fn secrets_are_read_at_each_start_from_a_file_that_is_nobody_elses() {
    let home = home();
    let secrets = home.dir().join("bob.env");
    fs::write(&secrets, "GITHUB_TOKEN=geheim\nEDITOR=vi\n").unwrap();
    let team = file(
        &home,
        "[peers.bob]\nruntime = \"parrot\"\nenv = { EDITOR = \"true\", COLOUR = \"red\" }\nenv_file = \"bob.env\"\n",
    );
    home.ok("iapeer", &["up", &team]);
    let kept = fs::read_to_string(home.cwd("bob").join(".iapeer/peer-profile.json")).unwrap();
    assert!(!kept.contains("geheim") && kept.contains("bob.env"), "{kept}");
    home.ok("iapeer-wake", &["bob"]);
    #[cfg(target_os = "linux")]
    {
        let pid = home.session_json("parrot-bob").unwrap()["pane"]["pid"].as_i64().unwrap();
        let variables = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        for variable in ["GITHUB_TOKEN=geheim\0", "EDITOR=vi\0", "COLOUR=red\0"] {
            assert!(variables.contains(variable), "{variable:?}");
        }
    }
    home.ok("iapeer", &["stop", "bob"]);
    home.ok("iapeer", &["start", "bob"]);
    fs::remove_file(&secrets).unwrap();
    let refused = home.run("iapeer-wake", &["bob"]);
    assert!(refused.code != 0 && refused.stderr.contains("bob.env"), "{refused}");
    nothing_else_than(&home, &team, "bob.env is missing");
}

#[track_caller]
fn nothing_else_than(home: &TestHome, file: &str, why: &str) {
    refused(&home.run("iapeer", &["up", file]), 78, &[why]);
}
