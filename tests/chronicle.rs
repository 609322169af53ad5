//! What has happened: `iapeer usage`, and `iapeer timeline` as text, as a picture and as a page in a real browser.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;
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

    // The timeline shows the same numbers: as text, in the picture, and in the data of the page.
    let tokens = &bob["usage"]["tokens"];
    let told = home.ok("iapeer", &["timeline", "bob"]).stdout;
    assert!(told.lines().nth(1).unwrap().ends_with("TURNS   MSGS DEATHS     IN CACHED    OUT"), "{told}");
    let row: Vec<&str> = told.lines().nth(2).unwrap().split_whitespace().rev().take(3).collect();
    assert_eq!(row, [tokens["output"].to_string(), "-".into(), tokens["input"].to_string()], "{told}");
    let picture = home.ok("iapeer", &["timeline", "--svg", "-"]).stdout;
    let title = format!("tokens of parrot-bob: {} in, 0 cached, {} out", tokens["input"], tokens["output"]);
    assert!(picture.contains(&title) && picture.contains("tokens of all: "), "{title} in {picture}");

    let later = home.ok("iapeer", &["usage", "--since", "2100-01-01T00:00:00Z", "--json"]).json_lines();
    assert_eq!((&later.last().unwrap()["total"]["sent"], later.len()), (&json!(0), 4));
    fs::write(home.root().join("prices.json"), r#"{"models":{"par*":{"input":-1,"output":1}}}"#).unwrap();
    let bad = home.run("iapeer", &["usage"]);
    assert!(bad.code == 78 && bad.stderr.contains("below zero"), "{bad}");
    assert_eq!(home.run("iapeer", &["usage", "--prices", "/nowhere"]).code, 66);
    assert_eq!(home.run("iapeer", &["usage", "--since", "soon"]).code, 64);
}

/// A home whose logs tell of an hour: al slept, waited for an approval and died; wk, a worker, did a task for him.
fn told() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("al", &[]);
    home.ok("iapeer", &["create", "wk", "--runtime", "parrot", "--ephemeral", "--description", "</script><b>\"&"]);
    let now = iapeer::base::EpochMs::from(std::time::SystemTime::now()).0;
    let at = |minutes_ago: u64| iapeer::base::EpochMs(now - minutes_ago * 60_000);
    let line = |ago: u64, rest: &str| format!("ts={} {rest}\n", at(ago).utc_seconds());
    let lifecycle = [
        line(90, "ev=wake identity=parrot-al mode=fresh cause=first-wake"),
        line(90, "ev=launch identity=parrot-al server=1"),
        line(50, "ev=supervise identity=parrot-al action=reaped-idle outcome=resume-eligible"),
        line(40, "ev=wake identity=parrot-al mode=resume cause=idle-reaped-resume"),
        line(40, "ev=launch identity=parrot-al server=2"),
        line(35, "ev=attention identity=parrot-al state=approval evidence=hook"),
        line(30, "ev=attention identity=parrot-al state=none was=approval"),
        line(25, "ev=wake identity=parrot-wk mode=fresh cause=ephemeral-policy"),
        line(25, "ev=launch identity=parrot-wk server=3"),
        line(20, "ev=supervise identity=parrot-wk action=reaped-ephemeral outcome=ephemeral-done"),
        "torn line\n".to_owned(),
    ];
    fs::create_dir_all(home.root().join("logs/iapeer")).unwrap();
    fs::write(home.root().join("logs/iapeer/lifecycle.log"), lifecycle.concat()).unwrap();
    let died = line(10, "ev=server-exit identity=parrot-al server_pid=2 wait_rc=1 cause=\"oom <kill>\"");
    fs::write(home.root().join("logs/iapeer/exits.log"), died).unwrap();
    let settled = |id: &str, from: &str, ago: u64, re: &str| {
        format!(
            "{{\"v\":1,\"id\":\"{id}\",\"outcome\":\"delivered\",\"settled\":{},\"seq\":1,\"from\":\"{from}\",\"from_intelligence\":\"artificial\",\"accepted\":{}{re},\"task\":\"SECRET TEXT\"}}\n",
            at(ago).0,
            at(ago + 1).0
        )
    };
    let (task, answer) = ("01M8CVJV69PQP5C3QA1Q91ZETW", "01M8CVJV95MKKVX6C3W2Q8TZR1");
    fs::create_dir_all(home.root().join("history")).unwrap();
    fs::write(home.root().join("history/parrot-wk.jsonl"), settled(task, "parrot-al", 24, "")).unwrap();
    let answers = settled(answer, "parrot-wk", 20, &format!(",\"re\":\"{task}\""));
    fs::write(home.root().join("history/parrot-al.jsonl"), answers).unwrap();
    home
}

fn has(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "{program} is not there");
    if !there {
        eprintln!("SKIPPED: {program} is not there");
    }
    there
}

#[test]
fn the_timeline_tells_of_sessions_waits_deaths_and_messages() {
    let home = told();
    let told = home.ok("iapeer", &["timeline", "--since", "1h", "--json"]).json();
    let al = &told["lanes"][0];
    assert_eq!((&al["identity"], al["sessions"].as_array().unwrap().len()), (&json!("parrot-al"), 2), "{al}");
    assert_eq!((&al["sessions"][0]["began"], &al["sessions"][0]["finish"]), (&json!("fresh"), &json!("slept")));
    assert_eq!((&al["sessions"][1]["began"], &al["sessions"][1]["finish"]), (&json!("resumed"), &json!("died")));
    assert_eq!((&al["deaths"][0]["cause"], &al["waits"][0]["state"]), (&json!("oom <kill>"), &json!("approval")));
    assert_eq!(&told["lanes"][1]["sessions"][0]["began"], "worker");
    assert_eq!(told["messages"].as_array().unwrap().len(), 2);
    assert_eq!(told["messages"][1]["re"], told["messages"][0]["id"]);
    let text = home.ok("iapeer", &["timeline", "--since", "1h"]).stdout;
    for sign in ["parrot-al", "?", "x", "(", "<", "queues"] {
        assert!(text.contains(sign), "{sign:?} in {text}");
    }
    let one = home.ok("iapeer", &["timeline", "wk", "--since", "1h", "--json"]).json();
    assert_eq!((one["lanes"].as_array().unwrap().len(), one["messages"].as_array().unwrap().len()), (1, 2));
    assert_eq!(home.run("iapeer", &["timeline", "nobody"]).code, 67);
    assert_eq!(home.run("iapeer", &["timeline", "--svg", "/nowhere/x.svg"]).code, 73);
    assert_eq!(home.run("iapeer", &["timeline", "--svg", "x", "--html", "y"]).code, 64);
    // Nothing at all is told of nobody.
    let empty = TestHome::new();
    assert!(empty.ok("iapeer", &["timeline"]).stdout.contains("queues"));
}

#[test]
fn the_picture_is_valid_and_names_what_it_shows() {
    let home = told();
    let path = home.dir().join("day.svg");
    home.ok("iapeer", &["timeline", "--since", "2h", "--svg", path.to_str().unwrap()]);
    let svg = fs::read_to_string(&path).unwrap();
    for title in [
        "died: oom &lt;kill&gt;",
        "waits: approval",
        "session: worker (ephemeral-policy), done",
        "answers 01M8CVJV69PQP5C3QA1Q91ZETW",
    ] {
        assert!(svg.contains(title), "{title:?} in {svg}");
    }
    assert!(!svg.contains("SECRET"));
    if has("xmllint") {
        let checked = Command::new("xmllint").args(["--noout", "--nonet"]).arg(&path).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// What is done to the page in the browser; each result becomes an attribute of the document.
const DRIVE: &str = r##"<script>
const out = (name, value) => document.documentElement.dataset[name] = value;
const at = found => new PointerEvent("pointermove", { clientX: canvas.getBoundingClientRect().left + (found.left + found.right) / 2,
  clientY: canvas.getBoundingClientRect().top + (found.top + found.bottom) / 2, pointerId: 1, bubbles: true });
const point = word => { canvas.dispatchEvent(at(boxes.find(box => box.text.includes(word)))); return tip.textContent; };
out("death", point("died:")); out("wait", point("waits:")); out("worker", point("session worker"));
const message = boxes.find(box => box.message);
down = { x: 0, view: [...view], moved: false };
canvas.dispatchEvent(new PointerEvent("pointerup", { clientX: at(message).clientX, clientY: at(message).clientY, bubbles: true }));
out("chain", [...thread].length);
const before = view[1] - view[0]; $("in").click(); out("zoomed", view[1] - view[0] < before); $("all").click();
out("rows", document.querySelectorAll("#fleet tbody tr").length);
$("filter").value = "wk"; $("filter").dispatchEvent(new Event("input"));
out("filtered", document.querySelectorAll("#fleet tbody tr").length + " " + shown().length);
const was = document.documentElement.classList.contains("dark"); $("theme").click();
out("turned", document.documentElement.classList.contains("dark") !== was);
</script></body>"##;

#[test]
fn the_page_works_in_a_browser() {
    let home = told();
    let path = home.dir().join("day.html");
    home.ok("iapeer", &["timeline", "--since", "2h", "--html", path.to_str().unwrap()]);
    let page = fs::read_to_string(&path).unwrap();
    assert!(
        !page.contains("SECRET")
            && !page.contains("</script><b>")
            && !page.contains("http://")
            && !page.contains("https://")
    );
    if !has("chromium") {
        return;
    }
    let driven = home.dir().join("driven.html");
    fs::write(&driven, page.replace("</body>", DRIVE)).unwrap();
    let (dom, said) = browse(&home, &driven, &["--dump-dom"]);
    for attribute in [
        "data-ready=\"yes\"",
        "data-death=\"died: oom &lt;kill&gt;",
        "data-wait=\"waits: approval",
        "data-worker=\"session worker (ephemeral-policy), done",
        "data-chain=\"2\"",
        "data-zoomed=\"true\"",
        "data-rows=\"2\"",
        "data-filtered=\"1 1\"",
        "data-turned=\"true\"",
    ] {
        assert!(dom.contains(attribute), "{attribute} in {}\n{said}", dom.split("<head>").next().unwrap_or_default());
    }
    assert!(!said.contains("CONSOLE"), "{said}");
    let picture = home.dir().join("day.png");
    browse(&home, &path, &[&format!("--screenshot={}", picture.display()), "--window-size=1300,500"]);
    assert!(fs::metadata(&picture).unwrap().len() > 10_000, "a picture of nothing");
}

/// What headless Chromium prints of a page, and what it says meanwhile.
fn browse(home: &TestHome, page: &Path, words: &[&str]) -> (String, String) {
    let mut chromium = home.cmd("chromium");
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    chromium.args(["--enable-logging=stderr", "--virtual-time-budget=1000"]).args(words);
    chromium
        .arg(format!("--user-data-dir={}", home.dir().join("browser").display()))
        .arg(format!("file://{}", page.display()));
    let ran = home.start(chromium, None).wait(PATIENCE);
    (ran.stdout, ran.stderr)
}
