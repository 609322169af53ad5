//! Turns, sessions, faults, hooks and answers.

use crate::*;

#[test]
fn a_message_in_a_running_turn_waits_and_hooks_keep_their_order() {
    let home = Home::new();
    // The first turn goes on until the second message is there: its prompt hook waits for the queued record.
    let hook = home.script(
        "slow-hook",
        "line=$(cat); printf '%s\\n' \"$line\" >>\"$HOME/hooks\"; [ $1 = prompt ] || exit 0\n\
         case $line in *first*) until grep -q queued \"$HOME\"/.iapeer-parrot/sessions/*; do sleep 0.01; done;; esac",
    );
    let pane = home.ready(&[("PARROT_TURN_MS", "1")], &["--hook", hook.to_str().unwrap()]);
    pane.wait_hooks(&["SessionStart"]);
    pane.submit("first");
    pane.wait_row("  parrot busy · esc to interrupt");
    assert_eq!(pane.format("#{pane_title}"), "⠿ parrot");
    pane.submit("second");
    pane.wait_kinds(&["session", "user", "queued", "assistant", "turn_end", "user", "assistant", "turn_end"]);
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit", "Stop", "UserPromptSubmit", "Stop"]);
    pane.wait_ready();
    let modes: Vec<Value> = home.records().iter().map(|record| record["mode"].clone()).collect();
    assert_eq!(modes, ["idle", "queued"]);
    pane.keys(&["-l", "/quit"]);
    pane.keys(&["Enter"]);
    assert_eq!(pane.ended(), "0:");
    let told = lines(&home.path("hooks"));
    assert_eq!(told[0]["source"], "startup");
    assert_eq!(told[1]["prompt"], "first");
    assert_eq!((&told[5]["hook_event_name"], &told[5]["reason"]), (&"SessionEnd".into(), &"prompt_input_exit".into()));
    let transcript = home.transcripts().remove(0);
    for hook in &told {
        assert_eq!(hook["transcript_path"], transcript.to_str().unwrap());
        assert_eq!(hook["cwd"], home.path("work").canonicalize().unwrap().to_str().unwrap());
        assert_eq!(hook["session_id"], transcript.file_stem().unwrap().to_str().unwrap());
    }
}

#[test]
fn an_interrupt_ends_the_turn_without_a_stop_hook() {
    let home = Home::new();
    let hook = home.path("hook");
    let pane = home.ready(&[("PARROT_HANG", "turn"), ("PARROT_TURN_MS", "0")], &["--hook", hook.to_str().unwrap()]);
    pane.submit("hang");
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit"]);
    pane.submit("next");
    pane.wait_row("  ⎿ Queued");
    pane.keys(&["Escape"]);
    pane.wait_row("  ⎿ Interrupted");
    pane.wait_kinds(&["session", "user", "queued", "interrupted", "user", "assistant", "turn_end"]);
    pane.wait_hooks(&["SessionStart", "UserPromptSubmit", "UserPromptSubmit", "Stop"]);
    pane.wait_ready();
    assert!(!pane.rows().contains(&"  ⎿ Queued".to_owned()));
}

#[test]
fn commands_and_shells_are_shown_and_never_run() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    pane.submit("/compact");
    pane.wait_row("• Nothing to compact");
    pane.submit("/dance now");
    pane.wait_row("• Unknown command: /dance");
    pane.submit("!touch ran");
    pane.wait_row("• (would have run a shell command)");
    assert!(home.transcripts().is_empty() && !home.path("work/ran").exists());
    pane.submit("hi");
    pane.wait_kinds(&["session", "user", "assistant", "turn_end"]);
    pane.wait_ready();
    pane.submit("/compact");
    pane.wait_row("• Context compacted");
    assert_eq!(home.kinds().last().unwrap(), "compacted");
    let marks: Vec<bool> = home.records().iter().map(|r| r["command"] == true || r["shell"] == true).collect();
    assert_eq!(marks, [true, true, true, false, true]);
}

#[test]
fn a_session_is_resumed_in_its_own_file() {
    let home = Home::new();
    let hook = home.path("hook");
    let none = home.start(&[], &["--resume"]);
    assert_eq!(none.ended(), "1:");
    none.wait_words("No conversation found to continue");
    let first = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    first.submit("remember me");
    first.wait_kinds(&["session", "user", "assistant", "turn_end"]);
    first.keys(&["C-d"]);
    assert_eq!(first.ended(), "0:");
    let path = home.transcripts().remove(0);
    let before = fs::read(&path).unwrap();
    let id = path.file_stem().unwrap().to_str().unwrap();
    for args in [&["--resume", "--hook", hook.to_str().unwrap()][..], &["--resume", id]] {
        let pane = home.ready(&[("PARROT_TURN_MS", "0")], args);
        pane.wait_rows("what was said", |rows| {
            rows.contains(&"› remember me".to_owned())
                && rows.contains(&"• remember me".to_owned())
                && rows.iter().any(|row| row.starts_with(&format!("resumed {id} (")))
        });
    }
    let begun = wait("the start hook", String::new, || lines(&home.path("hooks")).first().cloned());
    assert_eq!(begun["source"], "resume");
    assert!(fs::read(&path).unwrap() == before, "resuming alone writes nothing");
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &["--resume"]);
    pane.submit("more");
    pane.wait_kinds(&["session", "user", "assistant", "turn_end", "user", "assistant", "turn_end"]);
    assert_eq!(home.transcripts().len(), 1);
    let other = home.start(&[], &["--resume", "01jnothing"]);
    assert_eq!(other.ended(), "1:");
}

#[test]
fn it_crashes_where_it_is_told_to() {
    for (at, env) in [("boot", ("PARROT_BOOT_MS", "50")), ("idle", ("PARROT_TURN_MS", "0"))] {
        let home = Home::new();
        let hook = home.path("hook");
        let pane = home.start(&[("PARROT_CRASH", at), env], &["--hook", hook.to_str().unwrap()]);
        assert_eq!(pane.ended(), ":6", "{at}");
        assert_eq!(home.hooks().len(), usize::from(at == "idle"), "no end hook after a crash");
    }
    let home = Home::new();
    let pane = home.ready(&[("PARROT_CRASH", "turn")], &[]);
    pane.say("die");
    assert_eq!(pane.ended(), ":6");
    assert_eq!(home.kinds(), ["session", "user"]);
    assert_eq!(home.records().len(), 1);
    let home = Home::new();
    let pane = home.ready(&[("PARROT_CRASH_AT", "2"), ("PARROT_TURN_MS", "0")], &[]);
    pane.say("live");
    pane.wait_ready();
    pane.say("die");
    assert_eq!(pane.ended(), ":6");
    assert_eq!(home.kinds(), ["session", "user", "assistant", "turn_end"], "nothing tells of the second message");
    assert_eq!(home.records().len(), 2);
}

#[test]
fn signals_end_it_in_order() {
    let home = Home::new();
    let hook = home.path("hook");
    let pane = home.ready(&[], &["--hook", hook.to_str().unwrap()]);
    pane.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(pane.ended(), "143:");
    assert_eq!(home.hooks(), ["SessionStart", "SessionEnd"]);

    let pane = home.ready(&[], &["--hook", hook.to_str().unwrap()]);
    pane.wait_hooks(&["SessionStart", "SessionEnd", "SessionStart"]);
    let pid = pane.pid();
    pane.run(&["kill-server"]);
    wait("the end after HUP", String::new, || (home.hooks().len() == 4).then_some(()));
    wait("the process to be gone", String::new, || gone(pid).then_some(()));
}

/// Whether the process has ended; one that nobody has waited for yet has.
fn gone(pid: i32) -> bool {
    let out = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(out.stdout).unwrap();
    state.trim().is_empty() || state.trim().starts_with('Z')
}

#[test]
fn the_terminal_is_put_back() {
    let home = Home::new();
    let script = format!(
        "stty -g >\"$HOME/before\"; '{PARROT}'; stty -g >\"$HOME/after.new\"; mv \"$HOME/after.new\" \"$HOME/after\"; cat"
    );
    let pane = home.start_program("sh", &[], &["-c", &script]);
    pane.wait_ready();
    pane.keys(&["C-d"]);
    let after = pane.wait("the shell goes on", || fs::read_to_string(home.path("after")).ok());
    assert_eq!(after, fs::read_to_string(home.path("before")).unwrap());
    assert_eq!(pane.format("#{cursor_flag} #{wrap_flag}"), "1 1");
    // Bracketed paste is off again: without it tmux sends the bare text.
    pane.paste(b"bare", &["-p"]);
    pane.wait_row("bare");
}

#[test]
fn it_can_outlive_its_server() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_IGNORE_HUP", "1")], &[]);
    let pid = nix::unistd::Pid::from_raw(pane.pid());
    pane.signal(nix::sys::signal::Signal::SIGTERM);
    pane.submit("still here");
    pane.run(&["kill-server"]);
    wait("the server to be gone", String::new, || {
        (!pane.tmux().args(["has-session"]).output().unwrap().status.success()).then_some(())
    });
    assert!(!gone(pid.as_raw()));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    wait("the process to be gone", String::new, || gone(pid.as_raw()).then_some(()));
}

#[test]
fn boots_are_blank_false_or_endless() {
    let home = Home::new();
    let hung = home.start(&[("PARROT_HANG", "boot")], &[]);
    hung.wait_row("Loading…");
    assert!(hung.rows().iter().all(|row| !row.starts_with('»')));

    let pane = home.start(&[("PARROT_BOOT_MS", "400"), ("PARROT_TURN_MS", "0")], &[]);
    pane.keys(&["-l", "typed ahead"]);
    pane.wait_row("»\u{a0}typed ahead");

    // The false composer is there for a moment only, which what was written to the terminal tells for good.
    let shown = home.path("shown");
    let log = [";", "pipe-pane", "-t", "p", &format!("exec cat >'{}'", shown.display())];
    let early = home.start_and(PARROT, &[("PARROT_EARLY", "1"), ("PARROT_DIALOG", "update")], &[], &log);
    early.keys(&["-l", "lost"]);
    early.wait_row(" Press Enter to continue");
    let place = |of: &str| String::from_utf8_lossy(&fs::read(&shown).unwrap_or_default()).find(of);
    let dialog = early.wait("the log", || place("Press Enter to continue"));
    assert!(place("Type a message").is_some_and(|composer| composer < dialog));
    early.keys(&["Enter"]);
    early.wait_ready();
}

#[test]
fn noise_moves_only_the_footer() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_NOISE_MS", "5")], &[]);
    pane.wait_rows("a counter", |rows| rows.last().is_some_and(|row| row.starts_with("  parrot ready · 2")));
    assert!(pane.rows().contains(&GHOST.to_owned()));
    assert_eq!(pane.submit("through the noise")["text"], "through the noise");
}

#[test]
fn hooks_can_be_off_missing_or_stuck_and_the_session_goes_on() {
    let home = Home::new();
    let hook = home.path("hook");
    let off = home.ready(&[("PARROT_NOHOOKS", "1"), ("PARROT_TURN_MS", "0")], &["--hook", hook.to_str().unwrap()]);
    off.submit("a");
    off.wait_row("• a");
    assert!(home.hooks().is_empty());
    let missing = home.ready(&[("PARROT_TURN_MS", "0")], &["--hook", "/nonexistent/hook"]);
    missing.wait_rows("one warning", |rows| rows.iter().any(|row| row.contains("Warning: hook /nonexistent/hook")));
    missing.submit("b");
    missing.wait_row("• b");
    missing.wait_ready();
    assert_eq!(missing.rows().iter().filter(|row| row.contains("Warning")).count(), 1);
    let stuck = home.script("stuck", "[ $1 = start ] && exec sleep 600; echo $1 >>\"$HOME/after\"");
    let stuck = home.ready(&[("PARROT_TURN_MS", "0")], &["--hook", stuck.to_str().unwrap()]);
    stuck.submit("c");
    stuck.wait_row("• c");
    stuck.wait("the hooks after it", || {
        (fs::read_to_string(home.path("after")).ok()? == "prompt\nstop\n").then_some(())
    });
}

#[test]
fn it_answers_a_peer_and_no_answers() {
    let home = Home::new();
    fs::create_dir(home.path("bin")).unwrap();
    let program = home.path("bin/iapeer-parrot");
    fs::copy(PARROT, &program).unwrap();
    home.script("bin/iapeer-send", "printf '%s\\n' \"$*\" >>\"$HOME/sent\"; cat >>\"$HOME/sent\"; echo >>\"$HOME/sent\"; [ $1 != eve ] || { echo 'refused: eve is stopped' >&2; exit 69; }");
    let pane = home.start_program(program.to_str().unwrap(), &[("PARROT_REPLY", "1"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_ready();
    let letter = |from: &str, runtime: &str, body: &str| {
        format!(
            "<iap from-personality=\"{from}\" from-runtime=\"{runtime}\" topic=\"-t &amp; u\">\nIAP message from known peers.\n<message><![CDATA[{body}]]></message>\n</iap>"
        )
    };
    pane.submit(&letter("bob", "claude", "hello ]]]]><![CDATA[> there"));
    pane.wait_row("• replied to bob");
    pane.wait_ready();
    pane.submit(&letter("eve", "parrot", "psst"));
    pane.wait_row("• reply failed: refused: eve is stopped");
    pane.wait_ready();
    pane.submit(&letter("bob", "claude", "You said: x"));
    pane.wait_row("• You said: x");
    pane.wait_ready();
    pane.submit(&letter("iapeer", "system", "notice"));
    pane.wait_row("• notice");
    pane.wait_ready();
    assert_eq!(
        fs::read_to_string(home.path("sent")).unwrap(),
        "bob --runtime claude --topic=-t & u --no-wait -f -\nYou said: hello ]]> there\n\
         eve --runtime parrot --topic=-t & u --no-wait -f -\nYou said: psst\n"
    );
    assert_eq!(home.kinds().iter().filter(|kind| *kind == "turn_end").count(), 4);
}

#[test]
fn an_interrupt_ends_a_reply_that_hangs() {
    let home = Home::new();
    fs::create_dir(home.path("bin")).unwrap();
    let program = home.path("bin/iapeer-parrot");
    fs::copy(PARROT, &program).unwrap();
    home.script("bin/iapeer-send", "echo $$ >\"$HOME/sending\"; exec sleep 600");
    let pane = home.start_program(program.to_str().unwrap(), &[("PARROT_REPLY", "1"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_ready();
    pane.submit("<iap from-personality=\"bob\" from-runtime=\"claude\">\n<message><![CDATA[hi]]></message>\n</iap>");
    let pid: i32 = pane.wait("the reply", || fs::read_to_string(home.path("sending")).ok()?.trim().parse().ok());
    pane.submit("meanwhile");
    pane.wait_row("  ⎿ Queued");
    pane.keys(&["Escape"]);
    pane.wait_row("• meanwhile");
    pane.wait("the end of the reply", || gone(pid).then_some(()));
    assert!(home.kinds().contains(&"interrupted".to_owned()));
}
