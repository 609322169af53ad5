//! Approvals and questions of agents, which the person answers by a button.

use crate::*;

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
