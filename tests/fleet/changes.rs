//! A fleet file that was changed: renamed peers, other hosts, and peers that another fleet manages.

use crate::*;

#[test]
fn a_peer_with_another_name_is_not_silently_a_new_one() {
    let home = home();
    let text = "[peers.bob]\nruntime = \"parrot\"\ndescription = \"builds\"\n";
    home.ok("iapeer", &["up", &file(&home, text)]);
    home.ok("iapeer", &["stop", "bob"]);
    home.ok("iapeer", &["start", "bob"]);
    let renamed = text.replace("bob", "rob");
    for words in [&["up"][..], &["up", "--prune"], &["diff"]] {
        let said = home.run("iapeer", &[words, &[&file(&home, &renamed)]].concat());
        refused(&said, 78, &["team.toml:1:8:", "renamed_from = \"bob\""]);
    }
    let told = format!("{renamed}renamed_from = \"bob\"\n");
    let up = home.ok("iapeer", &["up", &file(&home, &told)]);
    assert!(up.stdout.contains("rename  rob  (was bob)"), "{up}");
    assert!(home.cwd("rob").ends_with("peers/rob") && !home.root().join("peers/bob").exists());
    nothing_to_do(&home, &file(&home, &told));
    // One that is said to be new is new; the other stays until it is pruned.
    let other = format!("{renamed}[peers.carl]\nruntime = \"parrot\"\n")
        .replace("[peers.rob]", "[peers.dan]\nrenamed_from = \"\"");
    let other = other.replace("[peers.carl]", "[peers.carl]\nrenamed_from = \"\"");
    let up = home.ok("iapeer", &["up", &file(&home, &other)]);
    assert!(up.stdout.contains("keep    rob") && up.stdout.contains("create  dan"), "{up}");
    let up = home.ok("iapeer", &["up", "--prune", &file(&home, &other)]);
    assert!(up.stdout.contains("remove  rob") && home.root().join("peers/rob").exists(), "{up}");
    nothing_to_do(&home, &file(&home, &other));
}

#[test]
fn other_hosts_are_made_known_and_changed() {
    let home = home();
    let text = "[hosts.box]\ndestination = \"me@box.example.invalid\"\noptions = [\"-p\", \"2222\"]\n\
                [schedules.far]\nto = \"bob@box\"\nevery = \"1h\"\nmessage = \"m\"\n";
    let up = home.ok("iapeer", &["up", &file(&home, text)]);
    assert!(up.stdout.contains("create  host box") && up.stdout.ends_with("done: 2 steps\n"), "{up}");
    nothing_to_do(&home, &file(&home, text));
    let listed = home.ok("iapeer", &["host", "list"]).stdout;
    assert!(listed.contains("me@box.example.invalid"), "{listed}");
    let exported = home.ok("iapeer", &["export"]).stdout;
    assert!(exported.contains("[hosts.box]") && exported.contains("2222"), "{exported}");
    let changed = home.ok("iapeer", &["up", &file(&home, &text.replace("2222", "2223"))]);
    assert!(changed.stdout.contains("options: [\"-p\",\"2222\"] → [\"-p\",\"2223\"]"), "{changed}");
    let gone = home.ok("iapeer", &["up", "--prune", &file(&home, "[peers.al]\nruntime = \"parrot\"\n")]);
    assert!(gone.stdout.contains("remove  schedule far") && home.root().join("hosts/box.json").exists(), "{gone}");
}

#[test]
fn what_another_fleet_manages_is_taken_over_only_where_somebody_says_so() {
    let home = home();
    let daily = |every: &str| format!("[schedules.daily]\nto = \"bob\"\nevery = \"{every}\"\nmessage = \"m\"\n");
    let bob = "[peers.bob]\nruntime = \"parrot\"\n";
    let one = named_file(&home, "one", &format!("{bob}{}", daily("1d")));
    let theirs = format!("[peers.ann]\nruntime = \"parrot\"\n{bob}tags = [\"x\"]\n{}", daily("2d"));
    let two = named_file(&home, "two", &theirs);
    home.ok("iapeer", &["up", &one]);
    let state = || {
        let read = |name: &str| fs::read_to_string(home.root().join(name)).unwrap();
        let profile = fs::read_to_string(home.cwd("bob").join(".iapeer/peer-profile.json")).unwrap();
        (read("peers-profiles.json"), read("schedules/daily.json"), profile, home.root().join("peers/ann").exists())
    };
    let before = state();
    let dry = home.ok("iapeer", &["up", "--dry-run", &two]);
    assert!(dry.stdout.contains("change  bob  (taken over from the fleet one)"), "{dry}");
    assert!(dry.stdout.contains("change  schedule daily  (taken over from the fleet one)"), "{dry}");
    for words in [&["up", &two][..], &["up", "--json", &two], &["up", "--prune", &two]] {
        let said = home.run("iapeer", words);
        refused(
            &said,
            69,
            &["the fleet one manages bob, daily", "--take-over", "name = \"one\"", "nothing was changed"],
        );
        assert_eq!(state(), before);
    }
    let person = Terminal::running(&home, &["sh"]);
    for (answer, end) in [("", "ended with 69"), ("n", "ended with 69"), ("y", "ended with 0")] {
        person.types(&format!("clear; iapeer up {two}; echo ended with $?"));
        person.enter();
        person.shows("[y/N]");
        assert_eq!(state(), before);
        person.types(answer);
        person.enter();
        person.shows(end);
        assert_eq!(state() == before, answer != "y");
    }
    nothing_to_do(&home, &two);
    // What is another fleet's is not stopped with this one.
    let down = home.ok("iapeer", &["down", &one]);
    assert!(
        down.stdout.contains("keep    bob  (managed by the fleet two") && !home.state("parrot-bob", "stopped"),
        "{down}"
    );
    let back = home.ok("iapeer", &["up", "--take-over", &one]);
    assert!(back.stdout.contains("change  bob  (taken over from the fleet two)"), "{back}");
    nothing_to_do(&home, &one);
}
