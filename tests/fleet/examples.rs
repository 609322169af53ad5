//! The example files, and the file that `iapeer new-fleet` writes: brought up, changed, stopped, exported.

use crate::*;

#[test]
fn a_review_team_works_on_two_branches_of_one_repository() {
    let home = home();
    let team = example(&home, "review-team");
    assert_eq!(home.run("iapeer", &["diff", &team]).code, 1);
    let dry = home.ok("iapeer", &["up", &team, "--dry-run"]);
    assert!(dry.stdout.contains("create  writer") && dry.stdout.ends_with("nothing was changed\n"), "{dry}");
    assert!(!home.root().join("peers-profiles.json").exists());
    let up = home.ok("iapeer", &["up", &team]);
    assert!(up.stdout.contains("create  worktree writer") && up.stdout.ends_with("done: 6 steps\n"), "{up}");
    nothing_to_do(&home, &team);
    assert_eq!(fs::read_to_string(home.root().join("owner")).unwrap(), "me\n");
    for name in ["writer", "reviewer"] {
        let cwd = home.cwd(name);
        assert_eq!(git(&home, &cwd, &["branch", "--show-current"]), format!("review-team/{name}"));
        assert_eq!(
            git(&home, &cwd, &["status", "--porcelain"]),
            "",
            "the peer's own folder is no part of the repository"
        );
    }
    let sent = home.ok("iapeer-send", &["reviewer", "--from", "me", "--require", "delivered", "-m", "look, please"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    let prompt = fs::read_to_string(home.root().join("cache/iapeer/prompts/parrot-reviewer.md")).unwrap();
    assert!(prompt.contains("Send the author what has to change"), "{prompt}");
    // A change of one whose session runs is made, and said to take effect later.
    let text = fs::read_to_string(&team).unwrap();
    fs::write(&team, text.replace("resume = \"always\"", "resume = \"never\"\nargs = [\"--extra\", \"a b\"]")).unwrap();
    let changed = home.ok("iapeer", &["up", &team]);
    for word in
        ["takes effect at its next start", "resume: \"always\" → \"never\"", "args: none → [\"--extra\",\"a b\"]"]
    {
        assert!(changed.stdout.contains(word), "{word}: {changed}");
    }
    let new = home.ok("iapeer", &["new", "reviewer"]);
    assert!(new.stdout.contains("fresh session up"), "{new}");
    #[cfg(target_os = "linux")]
    {
        let pid = home.session_json("parrot-reviewer").unwrap()["pane"]["pid"].as_i64().unwrap();
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(line.contains("--extra\0a b\0"), "{line:?}");
    }
    let down = home.ok("iapeer", &["down", &team]);
    assert!(down.stdout.contains("parrot-reviewer") && !down.stdout.contains("me"), "{down}");
    assert_eq!(home.run("iapeer-send", &["reviewer", "--from", "me", "-m", "x"]).code, 69);
    let back = home.ok("iapeer", &["up", &team]);
    assert!(back.stdout.contains("start   reviewer"), "{back}");
    nothing_to_do(&home, &team);
}

#[test]
fn workers_and_a_night_shift() {
    let home = home();
    for (name, steps) in [("workers", 3), ("night-shift", 4)] {
        let team = example(&home, name);
        let up = home.ok("iapeer", &["up", &team]);
        assert!(up.stdout.ends_with(&format!("done: {steps} steps\n")), "{up}");
        nothing_to_do(&home, &team);
    }
    let asked = home.ok("iapeer-send", &["worker-a", "--from", "operator", "--require", "delivered", "-m", "one task"]);
    assert!(asked.stdout.starts_with("delivered"), "{asked}");
    assert!(home.ok("iapeer", &["schedule", "list"]).stdout.starts_with("nightly  to night  03:30"));
    let run = home.ok("iapeer", &["schedule", "run", "nightly"]);
    assert!(run.stdout.contains("parrot-night"), "{run}");
    wait_until("the night's message", PATIENCE, || {
        home.queue("parrot-night") == (0, 0, 0) && home.root().join("history/parrot-night.jsonl").exists()
    });
    // What is there, written as a file, is what is there.
    let exported = home.ok("iapeer", &["export"]).stdout;
    let both = "name = \"workers\"";
    assert!(!exported.contains(both) && exported.contains("on_calendar = \"03:30\""), "{exported}");
    let copied = file(&home, &exported);
    let differs = home.run("iapeer", &["diff", &copied]);
    let fields: Vec<&str> = differs.stdout.lines().filter(|line| line.starts_with("            ")).collect();
    assert!(!fields.is_empty() && fields.iter().all(|line| line.trim_start().starts_with("fleet: ")), "{differs}");
}

#[test]
fn three_questions_give_a_file_that_works() {
    let home = home();
    let path = home.dir().join("fleet.toml");
    let path = path.to_str().unwrap();
    let ended = home.run_with("iapeer", &["new-fleet", path], b"joe\n");
    refused(&ended, 66, &["nothing is written"]);
    assert!(!Path::new(path).exists());
    let written = home.run_with("iapeer", &["new-fleet", path], b"joe\nparrot\n\n");
    assert_eq!(written.code, 0, "{written}");
    let up = home.ok("iapeer", &["up", path]);
    assert!(up.stdout.contains("create  writer") && up.stdout.contains("create  owner joe"), "{up}");
    nothing_to_do(&home, path);
    refused(&home.run_with("iapeer", &["new-fleet", path], b"\n\n\n"), 73, &["there already"]);
    // In a repository each agent gets a worktree.
    let inside = repo(&home).join("fleet.toml");
    let inside = inside.to_str().unwrap();
    home.ok("iapeer", &["remove", "writer"]);
    home.ok("iapeer", &["remove", "reviewer"]);
    assert_eq!(home.run_with("iapeer", &["new-fleet", inside], b"\nparrot\nann\n").code, 0);
    home.ok("iapeer", &["up", inside]);
    assert_eq!(git(&home, &home.cwd("ann"), &["branch", "--show-current"]), "ann");
}
