//! What it shows and takes: pastes, keys, dialogs.

use crate::*;

#[test]
fn without_a_terminal_it_says_so_in_one_line() {
    for (args, env, code, word) in [
        (&[][..], &[][..], 64, "terminal"),
        (&["--resume", "--hook"], &[], 64, "--hook"),
        (&[], &[("PARROT_TURN_MS", "soon")], 78, "PARROT_TURN_MS"),
        (&[], &[("PARROT_DIALOG", "trust;update")], 78, "PARROT_DIALOG"),
    ] {
        let out = plain(args, env);
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
        assert!(code == 64 && !args.is_empty() || said.lines().count() == 1, "{said}");
    }
    let help = plain(&["--help"], &[]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("PARROT_SWALLOW"));
}

#[test]
fn the_ready_screen_is_what_a_manifest_can_rely_on() {
    let home = Home::new();
    fs::write(home.path("prompt"), "be a parrot").unwrap();
    let prompt = home.path("prompt");
    let pane = home.ready(&[], &["--system-prompt-file", prompt.to_str().unwrap(), "--model", "macaw", "-x"]);
    let rows = pane.rows();
    assert_eq!(rows[0], format!("Parrot {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(rows[1], "system prompt: 11 bytes");
    let rule = "─".repeat(100);
    assert_eq!(rows[26..], [rule.as_str(), GHOST, rule.as_str(), "  parrot ready"]);
    assert!(pane.run(&["capture-pane", "-p", "-e", "-t", "=p:"]).contains("»\u{a0}\x1b[2mType a message"));
    pane.wait("the title", || (pane.format("#{pane_title} #{alternate_on}") == "parrot 0").then_some(()));
    assert_eq!(home.transcripts(), [] as [PathBuf; 0], "no transcript before the first submit");
    pane.run(&["resize-window", "-t", "=p:", "-x", "60", "-y", "12"]);
    pane.wait_rows("the picture in the new size", |rows| {
        rows.len() == 12 && rows[11] == "  parrot ready" && rows[10] == "─".repeat(60) && rows[9] == GHOST
    });
    pane.keys(&["C-d"]);
    assert_eq!(pane.ended(), "0:");
}

#[test]
fn a_system_prompt_that_cannot_be_read_ends_it() {
    let home = Home::new();
    let pane = home.start(&[], &["--system-prompt-file", "/nonexistent/prompt"]);
    assert_eq!(pane.ended(), "1:");
    pane.wait_words("cannot read the system prompt");
}

#[test]
fn every_paste_arrives_byte_by_byte() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0"), ("PEER_IDENTITY", "parrot-bob")], &[]);
    let long: String = ('a'..='z').chain(['漢', '\n', 'é']).cycle().take(16_000).collect();
    let huge = "0123456789abcde\n".repeat(13_000);
    let bodies = [
        "x",
        "two\nlines",
        "\n\nblank lines around\n\n",
        "-leading dash",
        "--",
        "trailing semicolon;",
        ";",
        "\\;",
        "quotes \" ' ` $(touch x) ${HOME} `id` \\ \\n #{pane_id} %",
        "tab\tin\tthe\tmiddle\t",
        "emoji 🦜👩‍👩‍👧‍👦🇪🇪 cjk 漢字かな한국어 combining e\u{301} zero\u{200b}width",
        "<iap x=\"y\"><message><![CDATA[a ]]> b]]></message>\n</iap>",
        "» looks like a prompt",
        "  leading and trailing spaces  ",
        "q",
        &long,
        &huge,
    ];
    for (index, body) in bodies.iter().enumerate() {
        let record = pane.submit(body);
        assert!(record["text"] == *body, "body {index} arrived as {:.200}", record["text"].to_string());
        assert_eq!((&record["identity"], record["pid"].as_i64()), (&"parrot-bob".into(), Some(pane.pid().into())));
        pane.wait_ready();
    }
    let users: Vec<Value> = home.transcript().into_iter().filter(|record| record["type"] == "user").collect();
    assert!(users.iter().map(|user| user["text"].as_str().unwrap()).eq(bodies), "the transcript has the same");
    assert_eq!(home.records().len(), bodies.len());
}

#[test]
fn a_large_paste_is_a_mark_and_is_submitted_whole() {
    let home = Home::new();
    let pane = home.ready(&[], &[]);
    let text = "line\n".repeat(12);
    pane.paste(text.as_bytes(), &["-p"]);
    pane.wait_row("»\u{a0}[Pasted text #1 +12 lines]");
    pane.keys(&["-l", "tail"]);
    pane.wait_row("»\u{a0}[Pasted text #1 +12 lines]tail");
    pane.keys(&["Enter"]);
    pane.wait("the record", || (home.records().first()?["text"] == format!("{text}tail")).then_some(()));
}

#[test]
fn without_brackets_every_line_is_a_submit() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_TURN_MS", "0")], &[]);
    pane.paste(b"one\ntwo\nthree", &[]);
    pane.wait_row("»\u{a0}three");
    let texts: Vec<Value> = home.records().iter().map(|record| record["text"].clone()).collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn the_first_submits_can_be_swallowed() {
    let home = Home::new();
    let pane = home.ready(&[("PARROT_SWALLOW", "2")], &[]);
    pane.say("hello");
    pane.keys(&["Enter", "-", "BSpace"]);
    pane.wait_row("»\u{a0}hello");
    assert!(home.records().is_empty());
    pane.keys(&["Enter"]);
    pane.wait("the record", || (home.records().first()?["text"] == "hello").then_some(()));
    assert_eq!(home.records().len(), 1);
}

#[test]
fn keys_edit_and_leave() {
    let home = Home::new();
    let pane = home.ready(&[], &[]);
    pane.keys(&["a", "C-j", "b", "漢", "BSpace", "Up", "Left", "M-x", "F5"]);
    pane.wait_rows("two rows", |rows| rows.windows(2).any(|w| w[0] == "»\u{a0}a" && w[1] == "  b"));
    pane.keys(&["C-c"]);
    pane.wait_ready();
    pane.keys(&["z", "C-u"]);
    pane.wait_ready();
    pane.keys(&["C-c"]);
    pane.wait_row("  Press Ctrl-C again to exit");
    pane.keys(&["y"]);
    pane.wait_row("»\u{a0}y");
    pane.keys(&["C-u", "C-c"]);
    pane.wait_row("  Press Ctrl-C again to exit");
    pane.keys(&["C-c"]);
    assert_eq!(pane.ended(), "0:");
    assert!(home.records().is_empty());
}

#[test]
fn the_trust_dialog_leaves_by_default() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "trust")], &[]);
    pane.wait_row(" ❯ No, exit");
    assert!(pane.rows().iter().all(|row| !row.starts_with('»')));
    pane.keys(&["Enter"]);
    assert_eq!(pane.ended(), "1:");
    pane.wait_words("This folder isn't trusted.");
}

#[test]
fn dialogs_come_in_their_order_and_lose_what_is_pasted() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "update,trust,picker"), ("PARROT_TURN_MS", "0")], &[]);
    pane.wait_row(" Press Enter to continue");
    pane.paste(b"lost\nforever", &["-p"]);
    pane.keys(&["Enter"]);
    pane.wait_row(" ❯ No, exit");
    pane.keys(&["Down"]);
    pane.wait_row(" ❯ Yes, I trust this folder");
    pane.keys(&["Enter"]);
    pane.wait_row(" ❯ 1. Resume from summary");
    pane.keys(&["Down"]);
    pane.wait_row(" ❯ 2. Resume full session");
    pane.keys(&["Enter"]);
    pane.wait_ready();
    pane.submit("found");
    assert_eq!(home.records()[0]["text"], "found");
    assert!(!home.kinds().contains(&"summarised".to_owned()));
}

#[test]
fn the_pickers_default_is_seen_in_the_transcript() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "picker")], &[]);
    pane.wait_row(" ❯ 1. Resume from summary");
    pane.keys(&["Enter"]);
    pane.wait_row("• Resumed from summary");
    assert_eq!(home.kinds(), ["session", "summarised"]);
}

#[test]
fn nothing_answers_the_login() {
    let home = Home::new();
    let pane = home.start(&[("PARROT_DIALOG", "login")], &[]);
    pane.wait_rows("login", |rows| rows.iter().any(|row| row.contains("Select login method:")));
    pane.keys(&["Enter", "Enter", "j"]);
    pane.wait_rows("still there", |rows| rows.iter().any(|row| row.starts_with(" ❯ 2.")));
    pane.keys(&["C-c"]);
    assert_eq!(pane.ended(), "1:");
}
