//! The worktrees of peers: removed, moved, and completed after a kill of `iapeer up` or of git.

use crate::*;

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
