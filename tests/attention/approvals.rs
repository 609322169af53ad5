//! Approvals and questions: answered by the hook or on the screen, held messages, answers that allow nothing.

use crate::*;

#[test]
fn an_approval_is_answered_through_the_hook() {
    for kind in ["approval", "approval-hidden"] {
        for (args, became) in [(&["allow"][..], "Yes"), (&["deny", "-m", "not on a Friday"], "No: not on a Friday")] {
            let home = home_with(&[("PARROT_ATTENTION", kind)]);
            send(&home, "hello");
            let row = asked_by_hook(&home);
            assert_eq!(
                (&row["tool"], &row["text"], &row["evidence"]),
                (&"Shell".into(), &"touch approved".into(), &"hook".into())
            );
            assert_eq!(row["answers"], serde_json::json!(["allow", "deny"]));
            let input = home.state_dir().join(format!("{ANN}.approval/{}.json", row["id"].as_str().unwrap()));
            // The request is announced a moment before its input is filed.
            wait_until("the request's input", SOON, || input.exists());
            assert_eq!(fs::metadata(&input).unwrap().permissions().mode() & 0o777, 0o600);
            let listed = home.ok("iapeer", &["list", "--json", "--trouble"]).json();
            assert_eq!((&listed["personality"], &listed["state"]), (&"ann".into(), &"approval".into()), "{listed}");
            let answered = home.ok("iapeer", &[&["answer", "ann"], args].concat());
            assert_eq!(answered.stdout, format!("ann: approval answered: {}\n", args[0]));
            wait_until("the tool's fate", SOON, || chosen(&home) == [became]);
            calm(&home);
            delivered(&home, &["hello"]);
            let audit = events(&home, "answer").pop().unwrap();
            assert_eq!(
                (audit["answer"].as_str(), audit["tool"].as_str(), audit["taken"].as_str()),
                (args[0], "Shell", "true")
            );
            assert_eq!((audit["id"].as_str(), audit["what"].as_str()), (row["id"].as_str().unwrap(), "touch approved"));
            // The request is over: an answer to it is refused, and so is one to nothing.
            let late = home.run("iapeer", &["answer", "ann", row["id"].as_str().unwrap(), "allow"]);
            assert!(late.code == 69 && late.stderr.contains("has no request"), "{late}");
            let late = home.run("iapeer", &["answer", "ann", "allow"]);
            assert!(late.code == 69 && late.stderr.contains("waits for no answer"), "{late}");
            assert_eq!(chosen(&home).len(), 1);
        }
    }
}

#[test]
fn an_approval_on_the_screen_alone_is_answered_by_its_label() {
    for (word, became) in [("allow", "Yes"), ("deny", "No")] {
        let home = home_with(&[("PARROT_ATTENTION", "approval"), ("PARROT_NOHOOKS", "1")]);
        send(&home, "hello");
        let row = in_state(&home, "approval");
        assert_eq!(
            (&row["evidence"], &row["id"], &row["text"]),
            (&"screen".into(), &Value::Null, &"$ touch approved".into())
        );
        let wrong = home.run("iapeer", &["answer", "ann", "perhaps"]);
        assert!(wrong.code == 64 && wrong.stderr.contains("allow, deny"), "{wrong}");
        assert_eq!(home.run("iapeer", &["answer", "ann", "deny", "-m", "why"]).code, 64, "no words on a screen");
        assert_eq!(home.run("iapeer", &["answer", "ann", "zzzzzz", "allow"]).code, 69, "no such request");
        assert!(chosen(&home).is_empty());
        let answered = home.ok("iapeer", &["answer", "ann", word]).stdout;
        assert!(answered.contains("answered on its screen: ") && answered.contains(became), "{answered}");
        wait_until("the tool's fate", SOON, || chosen(&home) == [became]);
        calm(&home);
        delivered(&home, &["hello"]);
        assert_eq!(events(&home, "answer").pop().unwrap()["pressed"], if word == "allow" { "1. Yes" } else { "3. No" });
    }
}

#[test]
fn a_question_is_answered_by_a_choice_of_its_own() {
    for hooks in ["0", "1"] {
        let home = home_with(&[("PARROT_ATTENTION", "question"), ("PARROT_NOHOOKS", hooks)]);
        send(&home, "hello");
        in_state(&home, "question");
        // A hook says so before the screen does what can be answered.
        let asks = |row: &Value| row["answers"].as_array().is_some_and(|all| !all.is_empty());
        let row = wait_for("the answers", SOON, || rows(&home).into_iter().find(asks));
        assert!(row["text"].as_str().unwrap().contains("What is for dinner?"), "{row}");
        assert_eq!(row["answers"], serde_json::json!(["crackers", "seeds"]));
        home.ok("iapeer", &["answer", "ann", "seeds"]);
        wait_until("the choice", SOON, || chosen(&home) == ["Seeds"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
}

#[test]
fn a_dialog_and_a_strange_screen_are_named_and_looked_at_without_attaching() {
    for (kind, state) in [("dialog", "dialog"), ("strange", "strange")] {
        let home = home_with(&[("PARROT_ATTENTION", kind)]);
        send(&home, "hello");
        in_state(&home, state);
        let refused = home.run("iapeer", &["answer", "ann", "allow"]);
        assert!(refused.code == 69 && refused.stderr.contains("iapeer attach ann"), "{refused}");
        let peeked = home.ok("iapeer", &["peek", "ann"]).stdout;
        let shown = if kind == "dialog" { "Choose a perch" } else { "@@@ squawk @@@" };
        assert!(peeked.contains(shown), "{peeked}");
        assert_eq!(home.ok("iapeer", &["peek", "ann", "-n", "1"]).stdout.lines().count(), 1);
        let found = home.run("iapeer", &["doctor"]).stdout;
        assert!(found.contains(state) && found.contains("iapeer attach ann"), "{found}");
        home.tmux(ANN, &["send-keys", "-t", &format!("={ANN}:"), "Enter"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
    let home = home_with(&[]);
    assert_eq!(home.run("iapeer", &["peek", "ann"]).code, 69, "it sleeps");
}

/// Eight messages to a peer at an approval, and an hour of ticks: none is given up, and their order stays.
#[test]
fn what_waits_at_an_approval_is_held_and_goes_on_in_order() {
    for hooks in ["0", "1"] {
        let home = home_with(&[("PARROT_ATTENTION", "approval"), ("PARROT_NOHOOKS", hooks)]);
        let mut bodies = vec!["zero".to_owned()];
        send(&home, "zero");
        in_state(&home, "approval");
        for n in 1..=8 {
            bodies.push(format!("message {n}"));
            send(&home, &bodies[n]);
        }
        for _ in 0..60 {
            tick(&home);
            minute_passes(&home);
        }
        home.at_rest(ANN);
        let (waiting, inflight, dead) = home.queue(ANN);
        assert_eq!((waiting, inflight, dead), (8, 0, 0), "hooks off: {hooks}");
        let items = home.ok("iapeer-drain", &["--list", ANN]).stdout;
        let first = items.lines().find(|line| line.contains("waiting")).unwrap();
        assert!(first.contains("attempts:0") && first.contains("held (approval)"), "{items}");
        home.ok("iapeer", &["answer", "ann", "deny"]);
        delivered(&home, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let delivery = home.log("delivery.log");
        assert!(delivery.iter().all(|line| line["outcome"] != "dead"), "{delivery:?}");
    }
}

#[test]
fn a_killed_hook_allows_nothing_and_leaves_the_programs_own_dialog() {
    for kind in ["approval", "approval-hidden"] {
        let home = home_with(&[("PARROT_ATTENTION", kind)]);
        send(&home, "hello");
        let id = asked_by_hook(&home)["id"].as_str().unwrap().to_owned();
        kill(hook(&home), Signal::SIGKILL).unwrap();
        let row = wait_for("the screen to ask", SOON, || {
            rows(&home).into_iter().find(|row| row["state"] == "approval" && row["evidence"] == "screen")
        });
        assert_eq!((&row["id"], row["answers"].as_array().unwrap().len()), (&Value::Null, 2));
        let old = home.run("iapeer", &["answer", "ann", &id, "allow"]);
        assert!(old.code == 69, "{old}");
        tick(&home);
        assert!(chosen(&home).is_empty(), "nothing was allowed");
        home.ok("iapeer", &["answer", "ann", "deny"]);
        wait_until("the denial", SOON, || chosen(&home) == ["No"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
}

#[test]
fn a_torn_a_foreign_and_an_old_answer_allow_nothing() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    send(&home, "hello");
    let id = in_state(&home, "approval")["id"].as_str().unwrap().to_owned();
    let dir = home.state_dir().join(format!("{ANN}.approval"));
    let good = |id: &str| format!(r#"{{"id":"{id}","decision":"allow","by":"x","at":1}}"#);
    let put = |text: String| {
        // As a crash of `iapeer answer` may leave it: whole under another name, or never there.
        fs::write(dir.join("tmp"), text).unwrap();
        fs::rename(dir.join("tmp"), dir.join(format!("{id}.answer"))).unwrap();
    };
    for bad in [good(&id)[..20].to_owned(), good("others"), good(&id).replace("allow", "maybe"), String::new()] {
        put(bad);
        fs::write(dir.join("other"), "wakes the hook").unwrap();
        fs::remove_file(dir.join("other")).unwrap();
        tick(&home);
        assert!(chosen(&home).is_empty(), "nothing was allowed");
        fs::remove_file(dir.join(format!("{id}.answer"))).unwrap();
    }
    assert_eq!(in_state(&home, "approval")["id"], id.as_str());
    home.ok("iapeer", &["answer", "ann", &id, "allow"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
}

/// `iapeer answer` killed at some moment: the tool runs only where the answer was published, and the hook never hangs.
#[test]
fn a_killed_answer_is_given_whole_or_not_at_all() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    send(&home, "hello");
    in_state(&home, "approval");
    for pause in 0..40 {
        let answering = home.spawn("iapeer", &["answer", "ann", "deny"]);
        std::thread::sleep(Duration::from_micros(pause * 250)); // the moment is what is tried
        answering.signal(Signal::SIGKILL);
        answering.wait(SOON);
        if !chosen(&home).is_empty() {
            break;
        }
    }
    if chosen(&home).is_empty() {
        home.run("iapeer", &["answer", "ann", "deny"]);
    }
    wait_until("the denial", SOON, || chosen(&home) == ["No"]);
    calm(&home);
    delivered(&home, &["hello"]);
}

#[test]
fn nobody_answers_in_time_and_the_program_asks_itself() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    home.set("IAPEER_APPROVAL_SECS", "1");
    send(&home, "hello");
    in_state(&home, "approval");
    let asks =
        |row: &Value| row["evidence"] == "screen" && row["answers"].as_array().is_some_and(|all| !all.is_empty());
    let row = wait_for("the screen to ask", SOON, || rows(&home).into_iter().find(asks));
    assert_eq!(row["state"], "approval");
    assert_eq!(events(&home, "approval").pop().unwrap()["outcome"], "unanswered");
    home.ok("iapeer", &["answer", "ann", "allow"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
}

#[test]
fn somebody_answers_on_the_screen_while_the_hook_waits() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    send(&home, "hello");
    in_state(&home, "approval");
    let hook = hook(&home);
    home.tmux(ANN, &["send-keys", "-t", &format!("={ANN}:"), "Enter"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
    wait_until("the hook's end", SOON, || kill(hook, None).is_err());
    calm(&home);
    delivered(&home, &["hello"]);
}

/// A peer whose tools wait for yes or no does not run them unasked because its profile can't be read: the registry has a
/// copy of what it said.
#[test]
fn a_profile_that_cannot_be_read_allows_nothing() {
    let home = home_with(&[]);
    let dir = home.root().join("runtimes/parrot");
    fs::create_dir_all(&dir).unwrap();
    let argv = r#"{"argv":["{@resume}","{@prompt}","{@hooks}","{@bypass}","{@ask}","{@extra}"],"groups":{"bypass":["--","unasked"],"ask":["--","asking"]}}"#;
    fs::write(dir.join("runtime.json"), argv).unwrap();
    let path = home.cwd("ann").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["approvals"] = "ask".into();
    fs::write(&path, profile.to_string()).unwrap();
    home.ok("iapeer", &["verify", "--fix"]);
    for profile in [profile.to_string(), "{torn".to_owned()] {
        fs::write(&path, profile).unwrap();
        home.ok("iapeer-wake", &["ann"]);
        let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
        let line = home.run("ps", &["-o", "args=", "-p", &pane.to_string()]).stdout;
        assert!(line.contains("asking") && !line.contains("unasked"), "{line}");
        home.ok("iapeer-reap", &[ANN]);
    }
}

/// A figure, for the eye: from the hook's start to its being known.
#[test]
fn an_approval_is_known_at_once() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    send(&home, "hello");
    let started =
        wait_for("the dialog", SOON, || home.screen(ANN).contains("Do you want to run this?").then(Instant::now));
    wait_until("the file", SOON, || attention_file(&home).is_some());
    eprintln!("the approval was known {} ms after its dialog was seen", started.elapsed().as_millis());
}
