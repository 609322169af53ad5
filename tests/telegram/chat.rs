//! Messages and files in a chat, both ways, over a connection that fails, and updates of odd shapes.

use crate::*;

#[test]
fn a_send_is_delivered_when_telegram_says_so_whatever_it_said_before() {
    let (home, telegram) = connected();
    // For some seconds: the sender is told the last reason.
    let wait = || json!({ "status": 429, "retry_after": 1 });
    telegram.fail("sendMessage", json!([wait(), wait(), wait(), { "status": 500 }, { "status": 502 }]));
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "-m", "first", "--wait", "30"]);
    assert!(sent.stdout.starts_with("queued for telegram-me") && sent.stdout.contains("asks to wait"), "{sent}");
    wait_until("the first message", PATIENCE, || telegram.texts().contains(&"bob: first".to_owned()));
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "second"]);
    assert!(sent.stdout.starts_with("delivered to telegram-me (sent)"), "{sent}");
    let failed = telegram.state()["calls"].as_array().unwrap().iter().filter(|call| call["ok"] == false).count();
    assert_eq!(failed, 5);
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
