//! A bridge that is killed (SIGKILL): every update is accepted once, every message is sent.

use crate::*;

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
