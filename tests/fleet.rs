//! A fleet in one file: `iapeer up`, `diff`, `down`, `export` and `new-fleet`, with parrots.

#![allow(unreachable_pub, clippy::unwrap_used)]

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
fn a_worktree_goes_with_its_peer_only_when_all_is_committed() {
    let home = home();
    let team = example(&home, "review-team");
    home.ok("iapeer", &["up", &team]);
    let (whole, cwd) = (fs::read_to_string(&team).unwrap(), home.cwd("writer"));
    let (start, end) = (whole.find("[peers.writer]").unwrap(), whole.find("[peers.reviewer]").unwrap());
    fs::write(&team, format!("{}{}", &whole[..start], &whole[end..])).unwrap();
    fs::write(cwd.join("work.txt"), "w").unwrap();
    let kept = home.ok("iapeer", &["up", &team]);
    assert!(kept.stdout.contains("keep    writer") && cwd.join("work.txt").exists(), "{kept}");
    refused(&home.run("iapeer", &["up", "--prune", &team]), 69, &["uncommitted", "work.txt"]);
    assert!(cwd.join("work.txt").exists());
    git(&home, &cwd, &["add", "-A"]);
    git(&home, &cwd, &["commit", "-qm", "work"]);
    assert_eq!(git(&home, &cwd, &["ls-files", ".iapeer"]), "", "no agent commits its profile");
    home.ok("iapeer-send", &["writer", "--from", "me", "--require", "delivered", "-m", "hello"]);
    refused(&home.run("iapeer", &["up", "--prune", &team]), 69, &["LIVE"]);
    home.ok("iapeer", &["stop", "writer"]);
    let pruned = home.ok("iapeer", &["up", "--prune", &team]);
    assert!(pruned.stdout.contains("its branch stays") && !cwd.exists(), "{pruned}");
    assert_eq!(git(&home, &repo(&home), &["show", "review-team/writer:work.txt"]), "w");
    nothing_to_do(&home, &team);
    // And it comes back on its branch.
    fs::write(&team, whole).unwrap();
    home.ok("iapeer", &["up", &team]);
    assert_eq!(fs::read_to_string(home.cwd("writer").join("work.txt")).unwrap(), "w");
    // Under another name its worktree moves along.
    let renamed = fs::read_to_string(&team).unwrap();
    fs::write(&team, renamed.replace("[peers.writer]", "[peers.author]\nrenamed_from = \"writer\"")).unwrap();
    home.ok("iapeer", &["up", &team]);
    assert_eq!(git(&home, &home.cwd("author"), &["status", "--porcelain", "--branch"]), "## review-team/writer");
    nothing_to_do(&home, &team);
}

#[test]
fn killed_in_the_middle_it_is_finished_by_the_next_one() {
    if !has_strace() {
        return;
    }
    let home = home();
    let mut killed = 0;
    for call in ["rename", "link", "mkdir", "fsync", "poll"] {
        let mut n = 1;
        // Every third is enough to meet each kind. At `poll` it waits for git, which goes on.
        loop {
            let name = format!("p-{call}-{n}");
            let text = format!(
                "[peers.{name}]\nruntime = \"parrot\"\nrole = \"r\"\ntags = [\"t\"]\nworktree = {{ repo = \"repo\", branch = \"{name}\" }}\n"
            );
            let team = home.dir().join(format!("{name}.toml"));
            fs::write(&team, text).unwrap();
            let team = team.to_str().unwrap();
            let was_killed = killed_alone_at(&home, call, n, &["up", team]);
            let again = home.ok("iapeer", &["up", team]);
            nothing_to_do(&home, team);
            let cwd = home.cwd(&name);
            let state = (git(&home, &cwd, &["branch", "--show-current"]), git(&home, &cwd, &["status", "--porcelain"]));
            assert_eq!(state, (name.clone(), String::new()), "{call} {n}: {again}");
            assert!(cwd.join("examples").exists() && cwd.join(".iapeer/ROLE.md").exists(), "{call} {n}");
            assert!(!home.root().join("state/intents").exists(), "{call} {n}");
            if !was_killed {
                break;
            }
            killed += 1;
            n += 3;
        }
    }
    assert!(killed > 8, "{killed} kills");
}

#[test]
fn what_git_left_half_made_is_made_anew() {
    let home = home();
    let text = "[peers.bob]\nruntime = \"parrot\"\nworktree = { repo = \"repo\", branch = \"b\" }\n";
    let cwd = home.root().join("peers/bob");
    git(&home, &repo(&home), &["worktree", "add", "-q", "-b", "b", cwd.to_str().unwrap()]);
    // As git leaves it when it is killed while it writes the files.
    fs::remove_dir_all(cwd.join("examples")).unwrap();
    fs::write(repo(&home).join(".git/worktrees/bob/locked"), "initializing").unwrap();
    let team = file(&home, text);
    let up = home.ok("iapeer", &["up", &team]);
    assert!(up.stdout.contains("create  worktree bob") && cwd.join("examples").exists(), "{up}");
    assert_eq!(git(&home, &cwd, &["status", "--porcelain", "--branch"]), "## b");
    nothing_to_do(&home, &team);
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
