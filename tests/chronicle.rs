//! What has happened: `iapeer usage`.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use support::{PATIENCE, TestHome, wait_until};

/// Two parrots and a person; each parrot has got a message and answered it.
fn talked() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    for (name, text) in [("bob", "one two three"), ("ann", "one"), ("bob", "four")] {
        let sent = home.ok("iapeer-send", &[name, "--from", "me", "--require", "delivered", "-m", text]);
        assert!(sent.stdout.starts_with("delivered"), "{sent}");
    }
    wait_until("all answers", PATIENCE, || {
        let text = fs::read_to_string(home.root().join("history/person-me.jsonl")).unwrap_or_default();
        text.lines().count() == 3
    });
    home
}

#[test]
fn usage_counts_turns_messages_and_tokens_and_costs_what_the_user_says() {
    let home = talked();
    let rows = home.ok("iapeer", &["usage", "--json"]).json_lines();
    let bob = rows.iter().find(|row| row["peer"] == "bob").unwrap();
    assert_eq!((&bob["usage"]["received"], &bob["usage"]["sent"]), (&json!(2), &json!(2)), "{bob}");
    assert!(bob["usage"]["turns"].as_u64().unwrap() >= 1 && bob["usage"]["tokens"]["output"].as_u64().unwrap() >= 4);
    assert!(bob["usage"].get("cost").is_none(), "{bob}");
    let total = &rows.last().unwrap()["total"];
    assert_eq!((&total["received"], &total["sent"]), (&json!(6), &json!(6)));
    let shown = home.ok("iapeer", &["usage", "--by", "day"]).stdout;
    assert!(shown.starts_with("DAY ") && shown.lines().count() >= 3, "{shown}");

    fs::write(home.root().join("prices.json"), r#"{"currency":"EUR","models":{"par*":{"input":0,"output":1000000}}}"#)
        .unwrap();
    let models = home.ok("iapeer", &["usage", "--by", "model", "--json"]).json_lines();
    assert_eq!((&models[0]["model"], models[0]["usage"].get("turns")), (&json!("parrot"), None));
    assert_eq!(models[0]["usage"]["cost"].as_f64().unwrap(), models[0]["usage"]["tokens"]["output"].as_f64().unwrap());
    assert!(home.ok("iapeer", &["usage"]).stdout.lines().next().unwrap().ends_with("EUR"));

    let later = home.ok("iapeer", &["usage", "--since", "2100-01-01T00:00:00Z", "--json"]).json_lines();
    assert_eq!((&later.last().unwrap()["total"]["sent"], later.len()), (&json!(0), 4));
    fs::write(home.root().join("prices.json"), r#"{"models":{"par*":{"input":-1,"output":1}}}"#).unwrap();
    let bad = home.run("iapeer", &["usage"]);
    assert!(bad.code == 78 && bad.stderr.contains("below zero"), "{bad}");
    assert_eq!(home.run("iapeer", &["usage", "--prices", "/nowhere"]).code, 66);
    assert_eq!(home.run("iapeer", &["usage", "--since", "soon"]).code, 64);
}
