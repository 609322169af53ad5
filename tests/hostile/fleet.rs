//! Fleet files, the names of folders and worktrees, and git's list of excluded files.

use crate::*;

#[test]
fn a_fleet_file_may_be_anything() {
    let home = home();
    let file = home.dir().join("team.toml");
    let path = file.to_str().unwrap();
    let all = |what: &str| {
        for verb in ["diff", "up", "down"] {
            let said = soon(&home, &["iapeer", verb, path]);
            assert!(said.code != 0 && said.stderr.lines().count() == 1, "{verb}, {what:.60}: {said}");
        }
    };
    for kind in KINDS {
        place(kind, &file);
        all(kind);
        clear(&file);
    }
    let deep = |open: &str, close: &str| format!("a = {}1{}\n", open.repeat(100_000), close.repeat(100_000));
    let peer = |more: &str| format!("[peers.dan]\nruntime = \"parrot\"\n{more}\n");
    for text in [
        deep("[", "]"),
        deep("{a=", "}"),
        format!("{} = 1\n", vec!["a"; 100_000].join(".")),
        "[peers.\"../x\"]\nruntime = \"parrot\"\n".into(),
        "[peers.\"a\\nb\"]\nruntime = \"parrot\"\n".into(),
        "[peers.iapeer]\nruntime = \"parrot\"\n".into(),
        peer("folder = \"a\\nb\""),
        peer("folder = \"/dev/null/x\""),
        peer("env = { \"A=B\" = \"x\" }"),
        peer("env_file = \"team.toml/x\""),
        peer("role = { file = \"/dev/zero\" }"),
        peer("role = { file = \"fifo\" }"),
        peer("worktree = { repo = \".\", branch = \"--upload-pack=x\" }"),
        peer("worktree = { repo = \"/dev/zero\", branch = \"x\" }"),
        "[hosts.box]\ndestination = \"-oProxyCommand=x\"\n".into(),
        "[hosts.\"../x\"]\ndestination = \"me@x\"\n".into(),
    ] {
        place("fifo", &home.dir().join("fifo"));
        fs::write(&file, &text).unwrap();
        for verb in ["diff", "up"] {
            let said = soon(&home, &["iapeer", verb, path]);
            assert!(said.code != 0 && said.stderr.lines().count() == 1, "{verb}, {text:.80}: {said}");
        }
        assert!(!home.ok("iapeer", &["list"]).stdout.contains("dan"), "{text:.80}");
    }
    bob_is_served(&home, "after all that");
}

#[test]
fn a_worktree_and_a_folder_may_be_called_anything() {
    let home = home();
    for (name, value) in [("user.name", "n"), ("user.email", "n@example.invalid"), ("init.defaultBranch", "main")] {
        home.ok("git", &["config", "--global", name, value]);
    }
    let odd = home.dir().join("a #{pid} #(touch pwned) %H; \"q\" 'r' $HOME");
    let repo = odd.join("repo");
    fs::create_dir_all(&repo).unwrap();
    let git = |words: &[&str]| drop(home.ok("git", &[&["-C", repo.to_str().unwrap()], words].concat()));
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let file = repo.join("team.toml");
    let record = home.dir().join("dan.record");
    let text = format!(
        "[peers.dan]\nruntime = \"parrot\"\nfolder = \"../tree #(touch pwned) #{{pane_id}}/dan\"\nworktree = {{ repo = \".\", branch = \"dan\" }}\nenv = {{ PARROT_RECORD = \"{}\" }}\n",
        record.display()
    );
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    home.ok("iapeer", &["up", path]);
    let sent = soon(&home, &["iapeer-send", "dan", "--from", "al", "--wait", "30", "-m", "hello"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    assert_eq!(home.bodies("dan"), ["hello"]);
    let cwd = home.tmux("parrot-dan", &["display-message", "-p", "#{pane_current_path}"]);
    assert!(cwd.stdout.contains("tree #(touch pwned) #{pane_id}"), "{cwd}");
    let found = home.ok("find", &[home.dir().to_str().unwrap(), "-name", "pwned"]);
    assert_eq!(found.stdout, "", "a name was run");
    assert_eq!(home.ok("iapeer", &["diff", path]).stdout, "nothing differs\n");
}

#[test]
fn the_list_that_git_keeps_may_be_anything() {
    let home = home();
    for (name, value) in [("user.name", "n"), ("user.email", "n@example.invalid"), ("init.defaultBranch", "main")] {
        home.ok("git", &["config", "--global", name, value]);
    }
    let repo = home.dir().join("repo");
    fs::create_dir_all(&repo).unwrap();
    home.ok("git", &["-C", repo.to_str().unwrap(), "init", "-q"]);
    home.ok("git", &["-C", repo.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "one"]);
    let file = repo.join("team.toml");
    fs::write(&file, "[peers.dan]\nruntime = \"parrot\"\nworktree = { repo = \".\", branch = \"dan\" }\n").unwrap();
    let exclude = repo.join(".git/info/exclude");
    for kind in ["fifo", "folder", "zero"] {
        place(kind, &exclude);
        let said = home.spawn("iapeer", &["up", file.to_str().unwrap()]).wait(SOON);
        assert!(said.code != 0 && said.stderr.contains("exclude"), "{kind}: {said}");
        clear(&exclude);
    }
    // What is not UTF-8 in it is git's own business.
    fs::write(&exclude, b"\xff\xfe\n").unwrap();
    home.ok("iapeer", &["up", file.to_str().unwrap()]);
}
