//! Questions and their answers, several recipients, the history.

use crate::*;

#[test]
fn a_question_prints_its_answer_and_a_late_one_comes_to_the_inbox() {
    let home = home();
    let asked = home.ok("iapeer-send", &["bob", "--ask", "-m", "2+2?", "--wait", "60"]);
    assert_eq!(asked.stdout, "You said: 2+2?\n");
    assert!(asked.stderr.starts_with("delivered to parrot-bob (woke: fresh, first-wake) "), "{asked}");
    home.at_rest("person-me");
    // It has been read, and no drain waits for anything.
    assert_eq!((files(&home, "me", "new").len(), files(&home, "me", "read").len()), (0, 1));
    assert_eq!(home.queue("person-me"), (0, 0, 0));
    assert_eq!(history(&home, "person-me")[0]["landed"]["evidence"], "asked");

    let json = home.ok("iapeer-send", &["bob", "--ask", "--json", "-m", "3+3?", "--topic", "sums"]).json();
    assert_eq!((&json["outcome"], &json["identity"]), (&"delivered".into(), &"parrot-bob".into()));
    assert_eq!((&json["answer"]["re"], &json["answer"]["topic"]), (&json["id"], &"sums".into()));
    assert_eq!((&json["answer"]["body"], &json["answer"]["unread"]), (&"You said: 3+3?".into(), &false.into()));

    home.ok("iapeer-reap", &["parrot-bob"]);
    home.launch_env("bob", &[("PARROT_TURN_MS", "1500")]);
    let late = home.run("iapeer-send", &["bob", "--ask", "-m", "slow?", "--wait", "500ms"]);
    refused(&late, 64, "--wait wants");
    let late = home.run("iapeer-send", &["bob", "--ask", "-m", "slow?", "--wait", "0.8s"]);
    assert!(late.code == 75 && late.stdout.is_empty() && late.stderr.contains("no answer of parrot-bob"), "{late}");
    wait_until("the late answer", PATIENCE, || files(&home, "me", "new").len() == 1);
    assert_eq!(inbox(&home, &[])[0]["body"], "You said: slow?");
    assert!(!home.root().join("state/asks/me").read_dir().unwrap().any(|_| true), "a question stayed open");
}

#[test]
fn an_agent_that_asks_is_not_typed_the_answer_too() {
    let home = home();
    home.parrot("alice", &[]);
    home.launch_env("bob", &[("PARROT_TURN_MS", "5"), ("PARROT_REPLY", "1")]);
    home.ok("iapeer-send", &["alice", "-m", "be up"]);
    let asked = home.ok("iapeer-send", &["bob", "--from", "alice", "--ask", "-m", "well?"]);
    assert_eq!(asked.stdout, "You said: well?\n");
    home.at_rest("parrot-alice");
    assert_eq!((home.bodies("alice"), home.queue("parrot-alice")), (vec!["be up".to_owned()], (0, 0, 0)));
    // Nobody asks: it is typed.
    home.ok("iapeer-send", &["bob", "--from", "alice", "-m", "and?"]);
    wait_until("the answer", PATIENCE, || home.bodies("alice") == ["be up", "You said: and?"]);
}

#[test]
fn the_answer_of_a_killed_asker_comes_like_any_other() {
    let home = home();
    home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    let asker = home.spawn("iapeer-send", &["ann", "--ask", "-m", "well?", "--from", "me"]);
    wait_until("the question", PATIENCE, || files(&home, "ann", "new").len() == 1);
    asker.signal(Signal::SIGKILL);
    assert_eq!(asker.wait(PATIENCE).code, 137);
    let id = home.ok("iapeer", &["inbox", "ann", "--json"]).json()["id"].as_str().unwrap().to_owned();
    home.ok("iapeer", &["reply", &id, "-m", "yes"]);
    wait_until("the answer", PATIENCE, || files(&home, "me", "new").len() == 1);
}

#[test]
fn what_names_no_question_answers_it_only_where_nothing_else_is_open() {
    let home = home();
    home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    let ask = |body: &str| {
        let asker = home.spawn("iapeer-send", &["ann", "--from", "me", "--ask", "--json", "-m", body]);
        let dir = home.root().join("state/asks/me");
        wait_until("an open question that was filed", PATIENCE, || {
            dir.read_dir().is_ok_and(|mut dir| dir.any(|_| true))
                && home.queue("person-ann") == (0, 0, 0)
                && home.ok("iapeer", &["inbox", "ann"]).stdout.contains(body)
        });
        asker
    };
    let say = |more: &[&str], body: &str| {
        home.ok("iapeer-send", &[&["me", "--from", "ann", "-m", body], more].concat());
    };
    let first = ask("first?");
    say(&[], "one");
    assert_eq!(first.wait(PATIENCE).json()["answer"]["body"], "one");

    // Something of mine is open with her: what she says now may be about that.
    home.ok("iapeer-send", &["ann", "--from", "me", "-m", "by the way"]);
    let second = ask("second?");
    say(&[], "about the other thing");
    wait_until("it in the inbox", PATIENCE, || files(&home, "me", "new").len() == 1);
    // Now nothing else is.
    say(&[], "two");
    assert_eq!(second.wait(PATIENCE).json()["answer"]["body"], "two");

    let third = ask("third?");
    say(&["--re", "01BX5ZZKBKACTAV9WEVGEMMVRZ"], "about something else");
    wait_until("that in the inbox", PATIENCE, || files(&home, "me", "new").len() == 2);
    let id = home.ok("iapeer", &["inbox", "ann", "--json"]).json_lines().pop().unwrap()["id"].clone();
    say(&["--re", id.as_str().unwrap()], "three");
    assert_eq!(third.wait(PATIENCE).json()["answer"]["body"], "three");
    refused(&home.run("iapeer-send", &["ann", "--re", "x", "-m", "x"]), 64, "not a message id");
}

#[test]
fn twenty_questions_at_once_each_get_their_own_answer() {
    let home = home();
    let peers: Vec<String> = (0..5).map(|n| format!("p{n}")).collect();
    for peer in &peers {
        home.parrot(peer, &[("PARROT_TURN_MS", "5")]);
    }
    let asked: Vec<_> = (0..20)
        .map(|n| {
            let body = format!("question {n}");
            (body.clone(), home.spawn("iapeer-send", &[&peers[n % 5], "--ask", "-m", &body, "--wait", "5m"]))
        })
        .collect();
    for (body, asker) in asked {
        let output = asker.wait(Duration::from_secs(300));
        assert!(output.code == 0 && output.stdout == format!("You said: {body}\n"), "{body}: {output}");
    }
    assert!(files(&home, "me", "new").is_empty() && files(&home, "me", "read").len() == 20);
}

#[test]
fn several_are_written_to_each_by_itself() {
    let home = home();
    home.parrot("carol", &[("PARROT_TURN_MS", "5")]);
    home.parrot("dora", &[("PARROT_TURN_MS", "5")]);
    let sent = home.run("iapeer-send", &["bob", "nobody", "carol", "bob", "-m", "all of you"]);
    assert!(sent.code == 67 && sent.stderr.contains("refused: nobody: no peer named"), "{sent}");
    let said: Vec<&str> = sent.stdout.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(said, ["parrot-bob", "parrot-carol"]);
    let json = home.run("iapeer-send", &["bob", "nobody", "--json", "-m", "x"]).json_lines();
    assert_eq!((&json[0]["outcome"], &json[0]["to"]), (&"refused".into(), &"nobody".into()));
    assert_eq!(json[1]["outcome"], "delivered");

    refused(&home.run("iapeer-send", &["@night", "-m", "x"]), 67, "`iapeer tag NAME add night`");
    assert_eq!(home.ok("iapeer", &["tag", "bob", "add", "night", "day"]).stdout, "night\nday\n");
    home.ok("iapeer", &["tag", "carol", "add", "night"]);
    home.ok("iapeer", &["tag", "bob", "remove", "day"]);
    assert_eq!(home.ok("iapeer", &["tag", "bob"]).stdout, "night\n");
    refused(&home.run("iapeer", &["tag", "bob", "add", "all"]), 64, "a tag is");
    let to = |args: &[&str]| -> Vec<String> {
        let sent = home.ok("iapeer-send", &[args, &["--json", "--no-wait", "-m", "x"]].concat());
        sent.json_lines().iter().map(|line| line["identity"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(to(&["@night"]), ["parrot-bob", "parrot-carol"]);
    assert_eq!(to(&["@night", "--from", "bob"]), ["parrot-carol"]);
    assert_eq!(to(&["@all"]), ["parrot-bob", "parrot-carol", "parrot-dora"]);
    let asked = home.ok("iapeer-send", &["@night", "--ask", "--json", "-m", "well?"]).json_lines();
    let mut who: Vec<&str> = asked.iter().map(|line| line["answer"]["from"].as_str().unwrap()).collect();
    who.sort();
    assert_eq!(who, ["parrot-bob", "parrot-carol"]);
}

#[test]
fn the_history_is_asked_by_peer_pair_time_text_and_thread() {
    let home = home();
    home.parrot("carol", &[]);
    let asked = home.ok("iapeer-send", &["bob", "--ask", "--json", "--topic", "Sums", "-m", "2+2?"]).json();
    home.ok("iapeer-send", &["carol", "--from", "bob", "-m", "two\nlines"]);
    for identity in ["parrot-bob", "parrot-carol", "person-me"] {
        home.at_rest(identity);
    }
    let bodies = |args: &[&str]| -> Vec<Value> {
        let said = home.ok("iapeer", &[&["history", "--json"], args].concat()).json_lines();
        said.into_iter().map(|line| line["body"].clone()).collect()
    };
    assert_eq!(bodies(&[]), ["2+2?", "You said: 2+2?", "two\nlines"]);
    assert_eq!(bodies(&["me"]), ["2+2?", "You said: 2+2?"]);
    assert_eq!(bodies(&["bob", "--with", "carol"]), ["two\nlines"]);
    assert_eq!(bodies(&["--with", "carol"]), ["two\nlines"]);
    assert_eq!(bodies(&["--grep", "SUMS", "--since", "1h"]), ["2+2?", "You said: 2+2?"]);
    assert!(bodies(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    for id in [&asked["id"], &asked["answer"]["id"]] {
        assert_eq!(bodies(&["--thread", id.as_str().unwrap()]), ["2+2?", "You said: 2+2?"]);
    }
    let line = &home.ok("iapeer", &["history", "--json"]).json_lines()[1];
    assert_eq!((&line["from"], &line["to"], &line["re"]), (&"parrot-bob".into(), &"person-me".into(), &asked["id"]));
    assert!(line["ts"].as_str().unwrap().ends_with('Z') && line["outcome"] == "delivered");
    let text = home.ok("iapeer", &["history", "carol"]).stdout;
    assert!(text.contains("  parrot-bob → parrot-carol  ") && text.ends_with("\n  two\n  lines\n"), "{text}");
    refused(&home.run("iapeer", &["history", "nobody"]), 67, "no peer named");
}
