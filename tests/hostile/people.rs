//! What people are shown: inboxes, approvals, and the file that names the owner.

use crate::*;

#[test]
fn what_lies_in_an_inbox_may_be_anything() {
    let home = home();
    home.ok("iapeer-send", &["me", "--from", "al", "-m", "a letter"]);
    let new = home.cwd("me").join("inbox/new");
    wait_until("the letter", SOON, || fs::read_dir(&new).is_ok_and(|all| all.count() == 1));
    for kind in KINDS {
        for name in
            ["2026-11-21T05:46:07.000Z-parrot-al-01ARZ3NDEKTSV4RRFFQ69G5FAV.md", "note.md", ".hidden", "\u{1b}[2J.md"]
        {
            let path = new.join(name);
            place(kind, &path);
            for words in [
                &["iapeer", "inbox", "me"][..],
                &["iapeer", "inbox", "me", "--all", "--json"],
                &["iapeer", "read", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
                &["iapeer", "list"],
                &["iapeer", "doctor"],
            ] {
                let said = soon(&home, words);
                assert!(!said.stdout.contains('\u{1b}'), "{name:?} is a {kind}: {words:?}: {said}");
            }
            clear(&path);
        }
    }
    let letters = support::mail::letters(&home);
    assert!(letters.iter().any(|letter| letter["body"] == "a letter"), "{letters:?}");
}

#[test]
fn what_somebody_waits_for_may_be_anything() {
    let home = home();
    home.ok("iapeer", &["owner", "me"]);
    let state = home.state_dir();
    let ends = json!({"state": "approval", "evidence": "hook", "text": "x\u{1b}[2J", "since": u64::MAX, "told": u64::MAX, "id": "../../x", "answers": ["allow"]});
    for kind in KINDS.into_iter().chain(["ends"]) {
        let attention = state.join("parrot-bob.attention");
        match kind {
            "ends" => fs::write(&attention, ends.to_string()).unwrap(),
            kind => place(kind, &attention),
        }
        let approval = state.join("parrot-bob.approval");
        fs::create_dir_all(&approval).unwrap();
        for name in ["x.json", "x.answer", "x.taken"] {
            place(if kind == "ends" { "binary" } else { kind }, &approval.join(name));
        }
        for words in [
            &["iapeer", "attention"][..],
            &["iapeer", "answer", "bob", "allow"],
            &["iapeer", "answer", "bob", "x", "deny", "-m", "\u{1b}"],
            &["iapeer", "answer", "bob", "../../x", "allow"],
            &["iapeer", "list"],
            &["iapeer", "doctor"],
            &["iapeer-superviser"],
        ] {
            let said = soon(&home, words);
            assert!(!said.stdout.contains('\u{1b}'), "{kind}: {words:?}: {said}");
        }
        clear(&attention);
        fs::remove_dir_all(&approval).unwrap();
        let sent = soon(&home, &["iapeer-send", "al", "--from", "bob", "--wait", "30", "-m", kind]);
        assert!(sent.stdout.starts_with("delivered"), "{kind}: {sent}");
    }
    // The owner has to be told, and the file that says who that is is none.
    let waits = json!({"state": "login", "evidence": "screen", "text": "x", "since": 1});
    fs::write(state.join("parrot-al.attention"), waits.to_string()).unwrap();
    for kind in KINDS {
        place(kind, &home.root().join("owner"));
        assert_eq!(soon(&home, &["iapeer-superviser"]).code, 0, "owner is a {kind}");
        clear(&home.root().join("owner"));
    }
}
