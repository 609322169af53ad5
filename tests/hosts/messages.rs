//! Messages between two hosts: answers, refusals, questions, schedules, files, and a person's Telegram.

use crate::*;

#[test]
fn a_message_goes_to_another_host_and_its_answer_comes_back() {
    let (laptop, there) = two();
    there.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let sent = laptop.home.ok("iapeer-send", &["bob@box", "--topic", "t", "--require", "delivered", "-m", "hello"]);
    assert!(sent.stdout.starts_with("delivered to bob@box (woke: fresh, first-wake) "), "{sent}");
    let answer = wait_for("the answer", PATIENCE, || letters(&laptop.home).pop());
    assert_eq!((&answer["from"], &answer["body"]), (&"parrot-bob@box".into(), &"You said: hello".into()));
    let envelope = there.home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    assert!(envelope.contains("from-personality=\"me@laptop\""), "{envelope}");
    assert!(envelope.contains("iapeer-send me@laptop --re "), "{envelope}");

    // A reply finds its way by what it answers.
    let id = answer["id"].as_str().unwrap();
    let replied = laptop.home.ok("iapeer", &["reply", id, "-m", "thanks"]);
    assert!(replied.stdout.starts_with("delivered to bob@box (warm)"), "{replied}");
    assert_eq!(there.home.bodies("bob"), ["hello", "thanks"]);
    let said = laptop.home.ok("iapeer", &["history", "--json"]).json_lines();
    let to_bob: Vec<&Value> = said.iter().filter(|line| line["to"] == "bob@box").collect();
    assert_eq!((to_bob.len(), &to_bob[0]["outcome"]), (2, &"delivered".into()), "{said:?}");
    wait_until("nothing to wait", PATIENCE, || {
        laptop.outbox("box") == (0, 0, 0) && there.outbox("laptop") == (0, 0, 0)
    });
}

#[test]
fn what_the_other_host_refuses_comes_back_with_its_words() {
    let (laptop, there) = two();
    refused(&laptop.home.run("iapeer-send", &["bob@nowhere", "-m", "x"]), 67, "no host named \"nowhere\"");
    refused(&laptop.home.run("iapeer-send", &["bob@../x", "-m", "x"]), 64, "not a host's name");
    let sent = laptop.home.run("iapeer-send", &["bob@box", "--require", "delivered", "-m", "x"]);
    assert!(sent.code == 75 && sent.stdout.contains("dead letter: box: no peer named \"bob\""), "{sent}");
    let notice = wait_for("the notice", PATIENCE, || letters(&laptop.home).pop());
    assert!(notice["from"] == "system-iapeer" && notice["topic"] == "delivery-failed", "{notice}");
    assert!(notice["body"].as_str().unwrap().contains("box: no peer named \"bob\""), "{notice}");
    let rows = laptop.home.ok("iapeer-drain", &["--list", "--json"]).json_lines();
    assert_eq!((rows.len(), &rows[0]["identity"], &rows[0]["place"]), (1, &"@box".into(), &"dead".into()), "{rows:?}");
    // Once there is such a peer, the dead letter goes the same way again.
    there.home.ok("iapeer", &["create", "bob", "--runtime", "person"]);
    laptop.home.ok("iapeer-drain", &["--requeue", rows[0]["id"].as_str().unwrap()]);
    wait_until("the letter", PATIENCE, || there.home.ok("iapeer", &["inbox", "bob", "--json"]).json_lines().len() == 1);
    wait_until("its receipt", PATIENCE, || laptop.outbox("box") == (0, 0, 0));
    there.home.ok("iapeer", &["stop", "bob"]);
    let sent = laptop.home.run("iapeer-send", &["bob@box", "-m", "x"]);
    assert!(sent.stdout.contains("dead letter: box: ") && sent.stdout.contains("stopped"), "{sent}");
}

#[test]
fn a_question_is_answered_across_hosts() {
    let (laptop, there) = two();
    there.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let asked = laptop.home.ok("iapeer-send", &["bob@box", "--ask", "-m", "how are you?"]);
    assert_eq!(asked.stdout, "You said: how are you?\n", "{asked}");
    // By its identity, too, where the answer names no question.
    let asked = laptop.home.ok("iapeer-send", &["parrot-bob@box", "--ask", "-m", "and now?"]);
    assert_eq!(asked.stdout, "You said: and now?\n", "{asked}");
    // It was printed, and is filed as read.
    assert!(letters(&laptop.home).iter().all(|letter| letter["unread"] == false));
}

#[test]
fn a_schedule_may_write_to_a_peer_of_a_known_host() {
    let (laptop, _there) = two();
    laptop.home.set("IAPEER_SERVICE_MANAGER", "none");
    let add =
        |to: &str| laptop.home.run("iapeer", &["schedule", "add", "daily", "--to", to, "--every", "1h", "-m", "x"]);
    let refused = add("bob@nowhere");
    assert!(refused.code == 67 && refused.stderr.contains("nowhere"), "{refused}");
    let added = add("bob@box");
    assert!(added.code == 0 && added.stdout.starts_with("scheduled daily  to bob@box"), "{added}");
}

#[test]
fn files_go_along_and_land_below_their_message() {
    let (laptop, there) = two();
    let file = laptop.home.dir().join("a b.bin");
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let empty = laptop.home.dir().join("empty");
    fs::write(&empty, "").unwrap();
    // The sender may take them away as soon as the message is accepted.
    there.authorize(&[]);
    let path = |file: &std::path::Path| file.to_str().unwrap().to_owned();
    let sent =
        laptop.home.ok("iapeer-send", &["me@box", "--attach", &path(&file), "--attach", &path(&empty), "-m", "x"]);
    assert!(sent.stdout.starts_with("queued for me@box (1 waiting: box is away since "), "{sent}");
    fs::remove_file(&file).unwrap();
    let found = laptop.home.run("iapeer", &["doctor"]);
    assert!(!found.stdout.contains("state/outbox"), "{found}");
    there.authorize(&[(&laptop, "")]);
    laptop.home.ok("iapeer-relay", &["push", "box"]);
    let letter = wait_for("the letter", PATIENCE, || letters(&there.home).pop());
    let landed: Vec<&str> =
        letter["attachments"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    let id = letter["id"].as_str().unwrap();
    let below = there.home.root().join("cache/iapeer/attachments").join(id);
    assert_eq!(landed, [path(&below.join("0/a b.bin")), path(&below.join("1/empty"))]);
    assert_eq!(fs::read(landed[0]).unwrap(), bytes);
    assert_eq!(fs::metadata(landed[0]).unwrap().permissions().mode() & 0o777, 0o600);
    wait_until("the copies to go", PATIENCE, || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        fs::read_dir(laptop.home.root().join("state/outbox/box.files")).is_ok_and(|mut dir| dir.next().is_none())
    });
    laptop.home.set("IAPEER_ATTACHMENTS_MAX_BYTES", "1000");
    fs::write(&file, vec![0; 1001]).unwrap();
    refused(&laptop.home.run("iapeer-send", &["me@box", "--attach", &path(&file), "-m", "x"]), 65, "1000 bytes");
}

#[test]
fn a_person_is_reached_by_telegram_from_another_host_and_answers_there() {
    let (laptop, there) = two();
    laptop.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let telegram = Telegram::start(&there.home);
    connect(&there.home, &telegram, &[]);
    let bob = ["--from", "bob"];
    let send = |more: &[&str]| laptop.home.ok("iapeer-send", &[&["me@box"], &bob[..], more].concat());
    send(&["--require", "delivered", "-m", "may I merge it?"]);
    let asked = telegram.calls("sendMessage").into_iter().find(|call| call["text"] == "bob@laptop: may I merge it?");
    let asked = asked.unwrap_or_else(|| panic!("{:?}", telegram.texts()));
    telegram.push(json!({ "text": "yes", "reply_to_message": { "message_id": asked["number"] } }));
    wait_until("the answer", PATIENCE, || laptop.home.bodies("bob") == ["yes"]);
    let envelope = laptop.home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    assert!(
        envelope.contains("from-personality=\"me@box\"") && envelope.contains("from-runtime=\"telegram\""),
        "{envelope}"
    );
    // What follows is for him, too; and he is written to by his name.
    telegram.write("today");
    telegram.write("/to bob@laptop please");
    wait_until("both", PATIENCE, || laptop.home.bodies("bob") == ["yes", "today", "please"]);
    // Who asks is told the answer.
    let mut asking = laptop.home.cmd("iapeer-send");
    asking.args(["me@box", "--from", "bob", "--ask", "-m", "how many?"]);
    let asking = laptop.home.start(asking, None);
    let question = wait_for("the question", PATIENCE, || {
        telegram.calls("sendMessage").into_iter().find(|call| call["text"] == "bob@laptop: how many?")
    });
    telegram.push(json!({ "text": "three", "reply_to_message": { "message_id": question["number"] } }));
    let answered = asking.wait(PATIENCE);
    assert!(answered.code == 0 && answered.stdout == "three\n", "{answered}");
}

/// A power cut in the middle of a move may leave the item under its old name, too, and the receipt may come before that one
/// is sent again.
#[test]
fn a_message_that_a_power_cut_left_under_two_names_is_settled_under_both() {
    let (laptop, there) = two();
    let queue = laptop.home.root().join("state/outbox/box.queue");
    let twice = |item: &str| fs::copy(queue.join("inflight").join(item), queue.join(item)).unwrap();

    // Nobody there hands over to this host until the lock is free: the receipt waits.
    fs::create_dir_all(there.home.root().join("state/outbox")).unwrap();
    let busy = hold(&there.home.root().join("state/outbox/laptop.lock"));
    laptop.home.ok("iapeer-send", &["me@box", "--no-wait", "-m", "hello"]);
    wait_until("the receipt", PATIENCE, || laptop.outbox("box") == (0, 1, 0) && there.outbox("laptop") == (1, 0, 0));
    twice("000001");
    drop(busy);
    there.home.ok("iapeer-relay", &["push", "laptop"]);
    assert_eq!((laptop.outbox("box"), there.outbox("laptop")), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(letters(&there.home).len(), 1);

    // And where the message is given up: one dead letter, and one notice.
    let _busy = hold(&there.home.root().join("state/outbox/laptop.lock"));
    laptop.home.ok("iapeer-send", &["me@box", "--no-wait", "-m", "given up"]);
    wait_until("the receipt", PATIENCE, || laptop.outbox("box") == (0, 1, 0) && there.outbox("laptop") == (1, 0, 0));
    twice("000002");
    laptop.home.ok("iapeer", &["host", "remove", "box", "--force"]);
    assert_eq!(laptop.outbox("box"), (0, 0, 1));
    let notices = || letters(&laptop.home).iter().filter(|letter| letter["topic"] == "delivery-failed").count();
    wait_until("the notice", PATIENCE, || notices() > 0);
    assert_eq!(notices(), 1);
}

#[test]
fn a_host_for_which_nothing_waits_any_more_is_not_called_away() {
    let (laptop, there) = two();
    there.authorize(&[]);
    laptop.home.ok("iapeer-send", &["me@box", "-m", "given up"]);
    let doctor = || laptop.home.run("iapeer", &["doctor"]).stdout;
    wait_until("the finding", PATIENCE, || doctor().contains("away for "));
    laptop.home.ok("iapeer-superviser", &[]);
    assert!(doctor().contains("away for "), "{}", doctor());
    laptop.home.set("IAPEER_OUTBOX_DAYS", "0.00001");
    wait_until("the finding to go", PATIENCE, || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        laptop.home.ok("iapeer-superviser", &[]);
        !doctor().contains("away for ")
    });
    assert_eq!(laptop.outbox("box"), (0, 0, 1));
}
