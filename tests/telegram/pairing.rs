//! Pairing a bot with a person: by a code, again with a new token, for one agent alone; and where that is refused.

use crate::*;

const SECRET: &str = "AAstub-token_for_tests_of_iapeer";

#[test]
fn a_chat_is_paired_by_a_code_and_an_agent_answers_in_it() {
    let (home, telegram) = home();
    let (connecting, code) = connecting(&home, &["--json"]);
    // Somebody else, a group, a wrong code: none of it pairs.
    telegram.order(json!({ "push": [
        update(77, json!({ "text": "AAAAAAAA" })),
        { "message": { "message_id": 1, "date": 1, "chat": { "id": -5, "type": "group" }, "from": { "id": 7 }, "text": code } },
        update(CHAT, json!({ "text": format!("/start {}", code.to_lowercase()) })),
    ]}));
    let done = connecting.wait(PATIENCE);
    let told = done.json();
    assert_eq!(
        (&told["identity"], &told["bot"], &told["agents"]),
        (&json!("telegram-me"), &json!("@Stub_bot"), &json!([]))
    );
    let token = fs::metadata(bot_folder(&home).join("token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
    let profile: Value =
        serde_json::from_slice(&fs::read(home.cwd("me").join(".iapeer/peer-profile.json")).unwrap()).unwrap();
    assert_eq!(profile["interfaces"]["telegram"]["bot_username"], "Stub_bot");
    assert_eq!(profile["runtimes"], json!(["telegram", "person"]));

    // Both ways: the only agent is who is meant.
    telegram.write("hello bob");
    wait_until("the answer", PATIENCE, || telegram.texts().contains(&"bob: You said: hello bob".to_owned()));
    assert_eq!(home.bodies("bob"), ["hello bob"]);
    let answer =
        telegram.calls("sendMessage").into_iter().find(|call| call["text"] == "bob: You said: hello bob").unwrap();
    assert_eq!((&answer["chat_id"], &answer["entities"][0]["length"]), (&json!(CHAT), &json!(4)));
    // A reply says what it answers.
    telegram.push(json!({ "text": "thanks", "reply_to_message": { "message_id": answer["number"] } }));
    wait_until("the second answer", PATIENCE, || telegram.texts().contains(&"bob: You said: thanks".to_owned()));
    wait_until("both answers to be settled", PATIENCE, || home.queue("telegram-me") == (0, 0, 0));
    let history = home.ok("iapeer", &["history", "me", "--with", "bob", "--json"]).json_lines();
    let find = |body: &str| history.iter().find(|line| line["body"] == body).unwrap();
    assert_eq!(find("thanks")["re"], find("You said: hello bob")["id"]);
    assert_eq!(find("You said: hello bob")["outcome"], "delivered");
    // Who is connected has an inbox still: what was sent on counts as read.
    let letters = home.ok("iapeer", &["inbox", "me", "--all", "--json"]).json_lines();
    assert_eq!((letters.len(), &letters[0]["unread"], &letters[0]["from"]), (2, &json!(false), &json!("parrot-bob")));
}

#[test]
fn nothing_changes_where_the_token_or_the_person_is_wrong_or_nobody_sends_the_code() {
    let (home, telegram) = home();
    let file = home.dir().join("token");
    let run = |person: &str, more: &[&str]| {
        let words = ["connect", "telegram", person, "--token-file", file.to_str().unwrap(), "--wait", "1"];
        home.run("iapeer", &[&words, more].concat())
    };
    let late = run("me", &[]);
    assert!(late.code == 75 && late.stderr.contains("nobody sent the code"), "{late}");
    assert_eq!(run("bob", &[]).code, 69);
    assert_eq!(run("nobody", &[]).code, 67);
    assert_eq!(run("me", &["--agent", "me"]).code, 69);
    telegram.order(json!({ "token": "7000001:BBanother_token_that_counts_now" }));
    let refused = run("me", &[]);
    assert!(refused.code == 69 && refused.stderr.contains("does not accept this token"), "{refused}");
    fs::write(&file, "no token").unwrap();
    assert_eq!(run("me", &[]).code, 65);
    fs::remove_file(&file).unwrap();
    assert_eq!(run("me", &[]).code, 66);
    assert!(!bot_folder(&home).exists());
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "x"]);
    assert!(sent.stdout.contains("person-me (filed)"), "{sent}");
}

#[test]
fn an_agent_may_have_a_bot_of_its_own() {
    let (home, telegram) = home();
    home.parrot("ann", &[]);
    connect(&home, &telegram, &["--agent", "bob"]);
    telegram.write("hello");
    wait_until("the answer", PATIENCE, || telegram.texts().contains(&"You said: hello".to_owned()));
    assert_eq!(home.bodies("bob"), ["hello"]);
    let refused = home.run("iapeer-send", &["me", "--from", "ann", "-m", "x"]);
    assert!(refused.code == 69 && refused.stderr.contains("telegram policy"), "{refused}");
    // From then on it speaks for both, and says for whom.
    let again =
        home.ok("iapeer", &["connect", "telegram", "me", "--token-file", home.dir().join("token").to_str().unwrap()]);
    assert!(again.stdout.contains("for all agents") && again.stdout.contains("it runs already"), "{again}");
    let sent = home.ok("iapeer-send", &["me", "--from", "ann", "--require", "delivered", "-m", "x"]);
    assert!(telegram.texts().contains(&"ann: x".to_owned()), "{sent}");
}

#[test]
fn a_revoked_token_is_said_and_the_token_is_told_to_nobody() {
    let (home, telegram) = connected();
    let other = TOKEN.replace("AA", "BB");
    telegram.order(json!({ "token": other }));
    // Wakes the long poll, which then ends with the token that counts no more.
    telegram.write("hello");
    wait_until("the trouble to be known", PATIENCE, || events(&home, "failing") == 1);
    let found = home.run("iapeer", &["doctor"]);
    assert!(found.stdout.contains("@Stub_bot") && found.stdout.contains("iapeer connect telegram me"), "{found}");
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "--wait", "30", "-m", "waits"]);
    assert!(sent.stdout.contains("no longer accepts the token"), "{sent}");
    // The same bot with its new token: no code is needed, and what waited goes on.
    let file = home.dir().join("token");
    fs::write(&file, &other).unwrap();
    home.ok("iapeer", &["connect", "telegram", "me", "--token-file", file.to_str().unwrap()]);
    wait_until("what waited", PATIENCE, || telegram.texts().contains(&"bob: waits".to_owned()));
    wait_until("the trouble to be over", PATIENCE, || events(&home, "works-again") == 1);
    assert!(!home.run("iapeer", &["doctor"]).stdout.contains("@Stub_bot"));

    // Forensics, too: its server dies.
    let server = home.server_pid("telegram-me").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), Signal::SIGKILL).unwrap();
    let dead = home.root().join("logs/iapeer/server-deaths");
    wait_until("the record of the death", PATIENCE, || fs::read_dir(&dead).is_ok_and(|all| all.count() > 0));
    home.run("iapeer", &["doctor", "--json"]);
    home.run("iapeer-canary", &["--report"]);
    fs::remove_file(&file).unwrap();
    let held = [SECRET.to_owned(), SECRET.replace("AA", "BB")].map(|secret| {
        let found = home.run("grep", &["-rlaF", &secret, home.dir().to_str().unwrap()]);
        found.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(held, [vec![], vec![bot_folder(&home).join("token").to_str().unwrap().to_owned()]]);
    // Those of this home: the same test of somebody else looks for the same token.
    let pids: Vec<String> = home.processes().iter().map(|(pid, _)| pid.to_string()).collect();
    let processes = home.run("ps", &["-ww", "-o", "args", "-p", &pids.join(",")]).stdout;
    assert!(processes.contains("telegram_stub.py") && !processes.contains("stub-token_for_tests"), "{processes}");
}
