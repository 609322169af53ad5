//! The bridge to Telegram against a stub of the Bot API: pairing, both directions, and nothing lost, doubled or told.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use support::telegram::{CHAT, TOKEN, Telegram, bridge, connect, connecting, update, without_session};
use support::{PATIENCE, TestHome, wait_for, wait_until};

/// A home with the person `me`, the parrot `bob`, and the stub.
fn home() -> (TestHome, Telegram) {
    let home = TestHome::new();
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let telegram = Telegram::start(&home);
    (home, telegram)
}

fn connected() -> (TestHome, Telegram) {
    let (home, telegram) = home();
    connect(&home, &telegram, &[]);
    wait_until("the bridge to listen", PATIENCE, || home.session_json("telegram-me").is_some());
    (home, telegram)
}

const SECRET: &str = "AAstub-token_for_tests_of_iapeer";

/// The folder of the bot.
fn bot_folder(home: &TestHome) -> std::path::PathBuf {
    home.cwd("me").join(".iapeer/runtimes/telegram/bot-7000001")
}

fn events(home: &TestHome, outcome: &str) -> usize {
    let is = |line: &&support::LogLine| line["ev"] == "telegram" && line.get("outcome").is_some_and(|o| o == outcome);
    home.log("lifecycle.log").iter().filter(is).count()
}

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
fn a_send_is_delivered_when_telegram_says_so_whatever_it_said_before() {
    let (home, telegram) = connected();
    telegram.fail("sendMessage", json!([{ "status": 429, "retry_after": 1 }, { "status": 500 }, { "status": 502 }]));
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "-m", "first", "--wait", "30"]);
    assert!(sent.stdout.starts_with("queued for telegram-me") && sent.stdout.contains("asks to wait"), "{sent}");
    wait_until("the first message", PATIENCE, || telegram.texts().contains(&"bob: first".to_owned()));
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "second"]);
    assert!(sent.stdout.starts_with("delivered to telegram-me (sent)"), "{sent}");
    let failed = telegram.state()["calls"].as_array().unwrap().iter().filter(|call| call["ok"] == false).count();
    assert_eq!(failed, 3);
    let long: String = (0..600).map(|n| format!("line {n} *a_b* \u{1f642}\n")).collect();
    home.ok("iapeer-send", &["me", "--from", "bob", "--topic", "long", "-m", &long]);
    let pieces = || {
        let texts = telegram.texts();
        texts.iter().filter_map(|text| text.strip_prefix("bob [long]: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    let whole = |pieces: Vec<String>| pieces.join("\n");
    wait_until("the long one", PATIENCE, || whole(pieces()).trim_end() == long.trim_end());
    assert!(telegram.texts().iter().all(|text| text.encode_utf16().count() <= 4096));
    assert!(pieces().iter().all(|piece| piece.starts_with("line ")), "cut at line ends");
}

#[test]
fn several_agents_are_written_to_by_name_and_listed() {
    let (home, telegram) = connected();
    home.parrot("ann", &[("PARROT_TURN_MS", "5")]);
    let said = |what: &str| wait_until(what, PATIENCE, || telegram.texts().iter().any(|text| text.contains(what)));
    telegram.write("nobody is named");
    said("To whom?");
    telegram.write("/list");
    said("ann — asleep\nbob — asleep");
    telegram.write("/status");
    said("tick: never ran");
    telegram.write("/to nobody hello");
    said("Not sent: ");
    telegram.write("/to ann one");
    said("ann: You said: one");
    telegram.write("two");
    said("ann: You said: two");
    telegram.write("/to bob");
    said("goes to bob from now on");
    telegram.write("three");
    said("bob: You said: three");
    // An old message of ann's is answered, and the conversation is with her again.
    let calls = telegram.calls("sendMessage");
    let old = calls.iter().find(|call| call["text"] == "ann: You said: one").unwrap();
    telegram.push(json!({ "text": "four", "reply_to_message": { "message_id": old["number"] } }));
    said("ann: You said: four");
    telegram.write("five");
    said("ann: You said: five");
    assert_eq!((home.bodies("ann").len(), home.bodies("bob").len()), (4, 1));
    // Strangers are not heard, and logged once each.
    for chat in [77, 77, 88, 77] {
        telegram.order(json!({ "push": [update(chat, json!({ "text": "/to bob let me in" }))] }));
    }
    telegram.order(json!({ "push": [{ "callback_query": { "id": "1", "from": { "id": 77 }, "data": "x:0" } }] }));
    telegram.write("/to bob six");
    said("bob: You said: six");
    assert_eq!((events(&home, "stranger"), home.bodies("bob").len()), (2, 2));
    assert!(telegram.calls("sendMessage").iter().all(|call| call["chat_id"] == CHAT));
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
fn an_approval_is_answered_by_a_button() {
    let (home, telegram) = home();
    home.set("IAPEER_TELL_AFTER_SECS", "0.2");
    home.parrot("ann", &[("PARROT_ATTENTION", "approval")]);
    connect(&home, &telegram, &[]);
    home.ok("iapeer-send", &["ann", "--from", "me", "-m", "hello"]);
    let asked = wait_for("the buttons", PATIENCE, || {
        telegram.calls("sendMessage").into_iter().find(|call| !call["reply_markup"].is_null())
    });
    assert!(asked["text"].as_str().unwrap().contains("approval: Shell touch approved"), "{asked}");
    let buttons: Vec<&Value> = asked["reply_markup"]["inline_keyboard"].as_array().unwrap().iter().collect();
    assert_eq!((&buttons[0][0]["text"], &buttons[1][0]["text"]), (&json!("allow"), &json!("deny")));
    let press = |from: i64| {
        let shown = json!({ "message_id": asked["number"], "chat": { "id": CHAT, "type": "private" } });
        let data = &buttons[0][0]["callback_data"];
        let pressed = json!({ "id": "9", "from": { "id": from }, "message": shown, "data": data });
        telegram.order(json!({ "push": [{ "callback_query": pressed }] }));
    };
    press(77);
    press(CHAT);
    let toasts = |n: usize| {
        wait_until("the press to be answered", PATIENCE, || telegram.calls("answerCallbackQuery").len() == n);
        telegram.calls("answerCallbackQuery").pop().unwrap()["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(toasts(1), "ann: approval answered: allow");
    wait_until("the answer", PATIENCE, || telegram.texts().contains(&"ann: You said: hello".to_owned()));
    let answer = home.log("lifecycle.log").into_iter().find(|line| line["ev"] == "answer").unwrap();
    assert_eq!((answer["by"].as_str(), answer["answer"].as_str()), ("telegram-me", "allow"));
    press(CHAT);
    assert!(toasts(2).contains("waits for this no more"));
    wait_until("the buttons to go", PATIENCE, || telegram.calls("editMessageReplyMarkup").len() == 2);
}

#[test]
fn a_question_is_answered_by_a_button_for_a_choice_of_its_own() {
    let (home, telegram) = home();
    home.set("IAPEER_TELL_AFTER_SECS", "2");
    home.parrot("ann", &[("PARROT_ATTENTION", "question")]);
    connect(&home, &telegram, &[]);
    home.ok("iapeer-send", &["ann", "--from", "me", "-m", "hello"]);
    // Nobody but the hook tells of it, which knows no choices: they are on the screen.
    let asked = wait_for("the buttons", PATIENCE, || {
        telegram.calls("sendMessage").into_iter().find(|call| !call["reply_markup"].is_null())
    });
    assert!(asked["text"].as_str().unwrap().contains("question: The parrot asks: What is for dinner?"), "{asked}");
    let rows = asked["reply_markup"]["inline_keyboard"].as_array().unwrap();
    let words: Vec<&Value> = rows.iter().map(|row| &row[0]["text"]).collect();
    assert_eq!(words, [&json!("crackers"), &json!("seeds")]);
    let shown = json!({ "message_id": asked["number"], "chat": { "id": CHAT, "type": "private" } });
    let pressed = json!({ "id": "9", "from": { "id": CHAT }, "message": shown, "data": &rows[1][0]["callback_data"] });
    telegram.order(json!({ "push": [{ "callback_query": pressed }] }));
    wait_until("the press to be answered", PATIENCE, || !telegram.calls("answerCallbackQuery").is_empty());
    assert_eq!(telegram.calls("answerCallbackQuery")[0]["text"], "ann: question answered on its screen: 2. Seeds");
    // The second choice, not the one that the program's cursor stood on.
    wait_until("the answer", PATIENCE, || telegram.texts().contains(&"ann: You said: hello".to_owned()));
    let sessions = home.home().join(".iapeer-parrot/sessions");
    let written = |entry: fs::DirEntry| fs::read_to_string(entry.path()).unwrap_or_default();
    let records: String = fs::read_dir(sessions).unwrap().flatten().map(written).collect();
    let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let chosen: Vec<Value> =
        records.filter(|record| record["type"] == "chosen").map(|record| record["text"].clone()).collect();
    assert_eq!(chosen, ["Seeds"]);
}

#[test]
fn files_go_both_ways() {
    let (home, telegram) = connected();
    let file = home.dir().join("report \"x\".txt");
    fs::write(&file, "the report\r\n--iapeer-part").unwrap();
    let path = file.to_str().unwrap();
    let words = ["me", "--from", "bob", "--require", "delivered", "--wait", "30", "-m", "see", "--attach", path];
    home.ok("iapeer-send", &words);
    let sent = telegram.calls("sendDocument");
    assert_eq!((sent.len(), &sent[0]["caption"]), (1, &json!("bob")));
    assert_eq!(sent[0]["document"], json!({ "name": "report _x_.txt", "content": "the report\r\n--iapeer-part" }));

    telegram.order(json!({ "files": { "F1": "a picture", "F2": "large" } }));
    telegram.push(json!({ "caption": "look", "photo": [
        { "file_id": "gone", "file_size": 1 }, { "file_id": "F1", "file_size": 9 },
    ]}));
    telegram.push(json!({ "document": { "file_id": "F2", "file_size": 5, "file_name": "../../.evil name" } }));
    telegram.push(json!({ "caption": "too large", "video": { "file_id": "F3", "file_size": 30_000_000 } }));
    telegram.push(json!({ "sticker": {} }));
    wait_until("what was sent", PATIENCE, || home.bodies("bob").len() == 3);
    let bodies = home.bodies("bob");
    assert_eq!(bodies[0], "look");
    assert!(bodies[1].starts_with("(sent 7000001-") && bodies[1].ends_with("-evil_name)"), "{bodies:?}");
    assert!(bodies[2].contains("too large\n[video.mp4 was sent along and could not be fetched: "), "{bodies:?}");
    let text = home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    let saved = text.split("<attachments><![CDATA[").nth(1).unwrap().split("]]>").next().unwrap();
    assert!(saved.starts_with(home.cwd("me").join("telegram").to_str().unwrap()), "{saved}");
    assert_eq!(fs::read_to_string(saved).unwrap(), "a picture");
    wait_until("the sticker", PATIENCE, || telegram.texts().iter().any(|text| text.starts_with("Only texts")));
    // A file that is gone is named, and the message goes on.
    fs::remove_file(&file).unwrap();
    telegram.fail("sendMessage", json!([{ "status": 500 }]));
    fs::write(&file, "x").unwrap();
    home.ok("iapeer-send", &["me", "--from", "bob", "--wait", "0", "-m", "again", "--attach", path]);
    fs::remove_file(&file).unwrap();
    let named = || telegram.texts().iter().any(|text| text.contains("could not be sent: it is not there any more"));
    wait_until("the missing file to be named", PATIENCE, || named() || telegram.calls("sendDocument").len() == 2);
}

#[test]
fn a_lost_connection_loses_nothing() {
    let (home, telegram) = connected();
    telegram.fail("getUpdates", json!([{ "drop": true }, { "status": 500 }, { "status": 429, "retry_after": 1 }]));
    telegram.write("hello");
    wait_until("the answer", PATIENCE, || telegram.texts().contains(&"bob: You said: hello".to_owned()));
    assert_eq!(home.bodies("bob"), ["hello"]);
    // Telegram took it and nobody heard so: it is sent again rather than lost.
    telegram.fail("sendMessage", json!([{ "drop": true }]));
    home.ok("iapeer-send", &["me", "--from", "bob", "--wait", "0", "-m", "once more"]);
    home.at_rest("telegram-me");
    wait_until("it to be settled", PATIENCE, || home.queue("telegram-me") == (0, 0, 0));
    let copies = telegram.texts().iter().filter(|text| *text == "bob: once more").count();
    assert_eq!(copies, 2);
    let lines = home.ok("iapeer", &["history", "me", "--grep", "once more", "--json"]).json_lines();
    assert_eq!((lines.len(), &lines[0]["outcome"]), (1, &json!("delivered")));
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
    let processes = home.run("ps", &["-e", "-ww", "-o", "args"]).stdout;
    assert!(processes.contains("telegram_stub.py") && !processes.contains("stub-token_for_tests"), "{processes}");
}

/// Ends the session of the bridge deliberately, for a bridge that a test can kill.
#[test]
fn an_update_that_is_shown_again_after_a_kill_is_accepted_once() {
    let (home, telegram) = connected();
    home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    without_session(&home);
    let progress = bot_folder(&home).join("progress.json");
    let before = fs::read(&progress).unwrap();
    // The update is given, and never confirmed: every later question fails.
    telegram
        .fail("getUpdates", json!([{}, { "status": 500 }, { "status": 500 }, { "status": 500 }, { "status": 500 }]));
    telegram.write("/to ann hello");
    let first = bridge(&home);
    wait_until("the update to be accepted", PATIENCE, || fs::read(&progress).unwrap() != before);
    first.signal(Signal::SIGKILL);
    first.wait(PATIENCE);
    // As a kill between the acceptance and the offset leaves it.
    fs::write(&progress, &before).unwrap();
    telegram.order(json!({ "heal": true }));
    telegram.write("/to ann and more");
    let second = bridge(&home);
    wait_until("both", PATIENCE, || fs::read_dir(home.cwd("ann").join("inbox/new")).is_ok_and(|all| all.count() == 2));
    assert_eq!(events(&home, "accepted-before"), 1);
    wait_until("both to be settled", PATIENCE, || home.queue("person-ann") == (0, 0, 0));
    drop(second);
    let lines = home.ok("iapeer", &["history", "ann", "--json"]).json_lines();
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_thousand_updates_and_a_bridge_that_is_killed_all_the_time() {
    const UPDATES: usize = 1000;
    let (home, telegram) = connected();
    home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    without_session(&home);
    for batch in 0..UPDATES / 100 {
        let text = |n: usize| json!({ "text": format!("/to ann message {:04}", batch * 100 + n) });
        let updates: Vec<Value> = (0..100).map(|n| update(CHAT, text(n))).collect();
        telegram.order(json!({ "push": updates }));
    }
    let new = home.cwd("ann").join("inbox/new");
    let filed = || {
        fs::read_dir(&new)
            .map_or(0, |all| all.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')).count())
    };
    // A quick machine takes them all in seconds, and on a slow one a bridge is long in starting.
    let (mut seed, mut kills, mut longest) = (0x5eed_u64, 0, 200);
    let started = std::time::Instant::now();
    loop {
        let before = filed();
        let running = bridge(&home);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The moment of the kill is what is random here.
        let end = std::time::Instant::now() + Duration::from_millis(20 + (seed >> 33) % longest);
        while std::time::Instant::now() < end && telegram.state()["pending"] != 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if telegram.state()["pending"] == 0 {
            wait_until("all of them", PATIENCE, || filed() >= UPDATES);
            break;
        }
        running.signal(Signal::SIGKILL);
        running.wait(PATIENCE);
        kills += 1;
        if filed() == before {
            longest *= 2;
        }
        assert!(started.elapsed() < Duration::from_secs(240), "{} filed after {kills} kills", filed());
    }
    home.at_rest("person-ann");
    let letters = home.ok("iapeer", &["inbox", "ann", "--json"]).json_lines();
    let bodies: Vec<&str> = letters.iter().map(|letter| letter["body"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (0..UPDATES).map(|n| format!("message {n:04}")).collect();
    assert!(
        bodies == wanted,
        "{} of {UPDATES}, {} different",
        bodies.len(),
        bodies.iter().collect::<BTreeSet<_>>().len()
    );
    assert!(kills >= 5, "{kills} kills are too few to prove anything");
    println!("{UPDATES} updates, {kills} kills, {:?}", started.elapsed());
}

#[test]
fn a_bridge_that_is_killed_while_it_sends_loses_nothing() {
    const MESSAGES: usize = 60;
    let (home, telegram) = connected();
    without_session(&home);
    let wanted: Vec<String> = (0..MESSAGES).map(|n| format!("message {n:02}")).collect();
    let mut running = bridge(&home);
    let mut kills = 0;
    for (n, body) in wanted.iter().enumerate() {
        home.ok("iapeer-send", &["me", "--from", "bob", "--no-wait", "-m", body]);
        if n % 5 == 4 {
            running.signal(Signal::SIGKILL);
            running.wait(PATIENCE);
            kills += 1;
            running = bridge(&home);
        }
    }
    let done = || home.queue("telegram-me") == (0, 0, 0);
    wait_until("all of them to be settled", PATIENCE, || running.runs() && done());
    let mut sent = telegram.texts();
    sent.retain(|text| text.starts_with("bob: message"));
    // What Telegram took in the moment of a kill may come twice: nobody can ask it whether it has it.
    let copies = sent.len() - MESSAGES.min(sent.len());
    sent.dedup();
    assert_eq!(sent, wanted.iter().map(|body| format!("bob: {body}")).collect::<Vec<_>>());
    assert!(copies <= kills, "{copies} copies by {kills} kills");
    let lines = home.ok("iapeer", &["history", "me", "--json"]).json_lines();
    let settled = lines.iter().filter(|line| line["to"] == "telegram-me" && line["outcome"] == "delivered").count();
    assert_eq!(settled, MESSAGES);
}

#[test]
fn odd_updates_keep_nothing_back() {
    let (home, telegram) = connected();
    telegram.order(json!({ "push": [
        { "message": null }, { "message": { "text": 7 } }, { "callback_query": { "id": "x", "from": { "id": CHAT } } },
        { "edited_message": {} }, update(CHAT, json!({ "text": "/to bob" })), update(CHAT, json!({ "text": "\u{0}\u{1b}[2J" })),
        update(CHAT, json!({ "text": "x".repeat(200_000) })),
    ]}));
    // Half a character, as no well-formed client writes it.
    let half = format!(
        r#"{{"push":[{{"message":{{"message_id":501,"date":1,"chat":{{"id":{CHAT},"type":"private"}},"from":{{"id":{CHAT}}},"text":"half \ud83d of it"}}}}]}}"#
    );
    telegram.ask("POST /control", &half);
    telegram.write("and on");
    wait_until("what comes after them", PATIENCE, || home.bodies("bob").last().is_some_and(|body| body == "and on"));
    assert_eq!(home.bodies("bob"), ["half \u{fffd} of it", "and on"]);
    let said = telegram.texts();
    assert!(said.iter().any(|text| text.starts_with("Not sent: ") && text.contains("16000")), "{said:?}");
}
