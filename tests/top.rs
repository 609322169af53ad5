//! `iapeer top`, driven by keys in a terminal of the test's own.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::top::keys::{TOP_KEYS, TopAct, TopKey};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{Read, Write};
use std::time::Duration;
use support::{Terminal, TestHome, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(30);

fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home
}

/// A terminal of this size with a shell in it that runs `iapeer top`.
fn top<'h>(home: &'h TestHome, columns: u16, rows: u16) -> Terminal<'h> {
    let terminal = Terminal::sized(home, columns, rows, &["sh"]);
    terminal.types("iapeer top; echo ended with $?");
    terminal.enter();
    terminal.shows("LAST");
    terminal
}

/// The line about the selected peer begins so.
fn is_selected(screen: &str, name: &str) -> bool {
    screen.lines().any(|line| line.starts_with(&format!(" {name} (")))
}

/// The names in the table, from the top.
fn names(screen: &str) -> Vec<&str> {
    let rows = screen.lines().skip_while(|line| !line.starts_with("NAME")).skip(1);
    rows.take_while(|line| !line.starts_with([' ', '─']) && !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

#[track_caller]
fn select(terminal: &Terminal<'_>, name: &str) {
    wait_until(&format!("{name} to be selected"), SOON, || {
        terminal.press("Home");
        let place = names(&terminal.screen()).iter().position(|found| *found == name);
        (0..place.unwrap_or(0)).for_each(|_| terminal.press("Down"));
        place.is_some() && support::soon(Duration::from_secs(2), || is_selected(&terminal.screen(), name))
    });
}

/// Tries one key, and asserts that it does what the help says.
fn try_key(home: &TestHome, terminal: &Terminal<'_>, key: &TopKey, name: &str) {
    let shows = |text: &str| terminal.shows(text);
    let press = || terminal.press(name);
    let place_of = |screen: &str, name: &str| names(screen).iter().position(|found| *found == name).unwrap();
    let goes_to = |wanted: &str| {
        press();
        wait_until(&format!("{name} to select {wanted}"), SOON, || is_selected(&terminal.screen(), wanted));
    };
    match key.act {
        TopAct::Up | TopAct::First | TopAct::PageUp => {
            select(terminal, "bob");
            let screen = terminal.screen();
            let above = names(&screen)[place_of(&screen, "bob") - 1];
            goes_to(if key.act == TopAct::Up { above } else { names(&screen)[0] });
        }
        TopAct::Down | TopAct::Last | TopAct::PageDown => {
            select(terminal, "bob");
            let screen = terminal.screen();
            let below = names(&screen)[place_of(&screen, "bob") + 1];
            goes_to(if key.act == TopAct::Down { below } else { names(&screen).last().unwrap() });
        }
        TopAct::NextPane => {
            select(terminal, "bob");
            for pane in ["queue", "events", "screen"] {
                press();
                shows(&format!("── {pane}"));
            }
        }
        TopAct::Attach => {
            select(terminal, "bob");
            press();
            let clients = || home.tmux("parrot-bob", &["list-clients"]).stdout.lines().count();
            wait_until("the client", SOON, || clients() == 1);
            home.tmux("parrot-bob", &["detach-client", "-s", "parrot-bob"]);
            shows("iapeer top");
            wait_until("the screen to be back", SOON, || is_selected(&terminal.screen(), "bob"));
        }
        TopAct::Answer => {
            select(terminal, "ann");
            shows("[allow|deny]: y answers");
            press();
            shows("ann waits for an answer");
            terminal.press("1");
            shows("ann: approval answered: allow");
            wait_until("the approval to be over", SOON, || !terminal.screen().contains("approval  "));
        }
        TopAct::Send => {
            select(terminal, "bob");
            press();
            shows("Message to bob");
            terminal.types("a word to bob");
            terminal.enter();
            wait_until("the message", SOON, || home.bodies("bob").contains(&"a word to bob".to_owned()));
            shows("delivered to parrot-bob");
        }
        TopAct::Inbox => {
            home.ok("iapeer-send", &["pat", "--from", "bob", "-m", "something for a person\nand more"]);
            select(terminal, "pat");
            shows("something for a person");
            press();
            shows("1 unread: Enter reads");
            terminal.enter();
            shows("and more");
            terminal.press("Escape");
            wait_until("the inbox to be read", SOON, || {
                home.ok("iapeer", &["inbox", "pat", "--json"]).stdout.is_empty()
            });
        }
        TopAct::Interrupt => {
            select(terminal, "dee");
            shows("dee (parrot)  working");
            press();
            shows("interrupt → dee (parrot)");
            assert!(home.log("lifecycle.log").iter().any(|line| line["ev"] == "interrupt"));
        }
        TopAct::StopOrStart => {
            select(terminal, "cy");
            press();
            shows("Stop cy?");
            terminal.press("y");
            wait_until("cy to be stopped", SOON, || home.state("parrot-cy", "stopped"));
            shows("cy (parrot)  stopped");
            press();
            wait_until("cy to be started", SOON, || !home.state("parrot-cy", "stopped"));
            shows("cy (parrot)  asleep");
        }
        TopAct::Filter => {
            press();
            terminal.types("cy");
            shows("1 of 6 shown");
            terminal.enter();
            assert_eq!(names(&terminal.screen()), ["cy"]);
            press();
            terminal.press("Escape");
            shows("6 peers");
        }
        TopAct::Trouble => {
            press();
            shows("of 6 shown: trouble");
            wait_until("only trouble", SOON, || !names(&terminal.screen()).contains(&"bob"));
            press();
            shows("6 peers");
        }
        TopAct::Redraw => {
            let tty = terminal.tmux(&["display-message", "-p", "-t", "person", "#{pane_tty}"]).stdout;
            fs::write(tty.trim(), "\x1b[9;60Hgarbage").unwrap();
            shows("garbage");
            press();
            wait_until("the garbage to be gone", SOON, || !terminal.screen().contains("garbage"));
        }
        TopAct::Help => {
            press();
            shows("iapeer top: the keys");
            let mut seen = String::new();
            wait_until("the whole help", SOON, || {
                seen += &terminal.screen();
                terminal.press("PageDown");
                TOP_KEYS.iter().all(|key| seen.contains(key.help.split([':', ',']).next().unwrap()))
            });
            terminal.press("q");
            wait_until("the help to be closed", SOON, || !terminal.screen().contains("the keys"));
        }
        TopAct::Quit => {
            press();
            shows("ended with 0");
            terminal.tmux(&["send-keys", "-t", "person", "clear; iapeer top; echo ended with $?", "Enter"]);
            shows("6 peers");
        }
    }
}

#[test]
fn every_key_of_the_help_does_what_the_help_says() {
    let home = home();
    home.ok("iapeer", &["create", "pat", "--runtime", "person"]);
    home.parrot("ann", &[("PARROT_ATTENTION", "approval")]);
    home.parrot("bob", &[]);
    home.parrot("cy", &[]);
    home.parrot("dee", &[("PARROT_TURN_MS", "600000")]);
    home.ok("iapeer-send", &["bob", "-m", "hello"]);
    for name in ["ann", "dee"] {
        home.ok("iapeer-send", &[name, "--no-wait", "-m", "hello"]);
    }
    wait_until("the approval", SOON, || home.run("iapeer", &["attention"]).stdout.contains("ann  approval"));
    wait_until("the turn", SOON, || home.ok("iapeer", &["list", "--state", "working"]).stdout.contains("dee"));
    let terminal = top(&home, 80, 24);
    // While the approval stands and the turn runs: what needs them comes last.
    let (late, early): (Vec<&TopKey>, Vec<&TopKey>) =
        TOP_KEYS.iter().partition(|key| matches!(key.act, TopAct::Answer | TopAct::Interrupt));
    for key in early.into_iter().chain(late) {
        for name in key.names {
            try_key(&home, &terminal, key, name);
        }
    }
}

#[test]
fn what_changes_on_disk_shows_without_a_key() {
    let home = home();
    home.parrot("bob", &[]);
    let terminal = top(&home, 80, 24);
    terminal.shows("2 peers");
    terminal.shows("bob  parrot  asleep");
    home.ok("iapeer-send", &["bob", "-m", "hello"]);
    terminal.shows("bob  parrot  idle");
    select(&terminal, "bob");
    terminal.shows("parrot ready");
    home.ok("iapeer-send", &["bob", "-m", "squawk"]);
    terminal.shows("squawk");
    home.ok("iapeer", &["stop", "bob"]);
    terminal.shows("bob  parrot  stopped");
    home.ok("iapeer", &["create", "pat", "--runtime", "person"]);
    home.ok("iapeer-send", &["pat", "--from", "bob", "-m", "for you"]);
    wait_until("pat's unread message", SOON, || {
        let screen = terminal.screen();
        let row = screen.lines().find(|line| line.starts_with("pat "));
        row.is_some_and(|row| row.split_whitespace().nth(5) == Some("1"))
    });
    home.parrot("zoe", &[]);
    terminal.shows("4 peers");
}

#[test]
fn it_fits_small_and_large_terminals_and_follows_their_size() {
    let home = home();
    home.parrot("bob", &[]);
    home.ok("iapeer-send", &["bob", "-m", "hello"]);
    let terminal = top(&home, 80, 24);
    let resize = |columns: &str, rows: &str| {
        terminal.tmux(&["resize-window", "-t", "person", "-x", columns, "-y", rows]);
    };
    let foot = |words: &'static str| terminal.screen().lines().rev().any(|line| line.starts_with(words));
    for (columns, rows, panes) in [("200", "50", 3), ("80", "60", 3), ("80", "24", 1), ("40", "12", 1), ("30", "6", 0)]
    {
        resize(columns, rows);
        wait_until(&format!("{columns}x{rows}"), SOON, || {
            let screen = terminal.screen();
            let shown =
                ["── screen", "── queue", "── events", "── inbox"].iter().filter(|pane| screen.contains(**pane));
            shown.count() == panes && foot("? help") && names(&screen).contains(&"bob")
        });
    }
    resize("3", "1");
    resize("80", "24");
    wait_until("it to be whole again", SOON, || foot("? help  q quit"));
}

#[test]
fn no_colour_where_none_is_wanted() {
    let home = home();
    home.parrot("ann", &[("PARROT_ATTENTION", "approval")]);
    home.ok("iapeer-send", &["ann", "--no-wait", "-m", "hello"]);
    wait_until("the approval", SOON, || home.run("iapeer", &["attention"]).stdout.contains("ann  approval"));
    for (set, coloured) in [("", true), ("NO_COLOR=1", false), ("TERM=vt100", false)] {
        let terminal = Terminal::sized(&home, 80, 24, &["sh"]);
        terminal.types(&format!("{set} iapeer top"));
        terminal.enter();
        terminal.shows("ann (parrot)  approval");
        let styled = terminal.tmux(&["capture-pane", "-e", "-p", "-t", "person"]).stdout;
        let colours = styled.split("\u{1b}[").skip(1).filter_map(|rest| rest.split('m').next());
        let has_one = colours.flat_map(|sgr| sgr.split(';')).any(|n| matches!(n.parse(), Ok(30..=38 | 40..=48 | 90..)));
        assert_eq!(has_one, coloured, "{set}: {styled:?}");
        assert!(styled.contains("\u{1b}[7m") || styled.contains(";7m"), "the selected row is seen: {styled:?}");
    }
}

#[test]
fn the_terminal_is_sane_after_every_end() {
    let home = home();
    home.parrot("bob", &[]);
    let terminal = Terminal::sized(&home, 80, 24, &["sh"]);
    terminal.types("stty -g >before; PS1='% '");
    terminal.enter();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        terminal.tmux(&["send-keys", "-t", "person", "clear; iapeer top", "Enter"]);
        terminal.shows("2 peers");
        let top = wait_for("its process", SOON, || {
            home.processes().into_iter().find(|(_, name)| name == "iapeer").map(|(pid, _)| pid)
        });
        kill(Pid::from_raw(top), signal).unwrap();
        // Gone from the screen before it has ended: what is typed in between is typed into a terminal without lines.
        wait_until("its end", SOON, || {
            !terminal.screen().contains("2 peers") && iapeer::host::ProcessId::of(top).is_none()
        });
        terminal.types("echo ended with $?");
        terminal.enter();
        terminal.shows(&format!("ended with {code}"));
        terminal.types("stty -g >after; echo $?");
        terminal.enter();
        wait_until("the settings", SOON, || fs::read(home.home().join("after")).is_ok_and(|text| !text.is_empty()));
        let settings = |name: &str| fs::read_to_string(home.home().join(name)).unwrap();
        assert_eq!(settings("before"), settings("after"), "{signal}");
        fs::remove_file(home.home().join("after")).unwrap();
        let modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{keypad_flag}";
        let modes = terminal.tmux(&["display-message", "-p", "-t", "person", modes]).stdout;
        assert_eq!(modes.trim(), "0 1 0 0", "{signal}");
    }
}

#[test]
fn it_asks_the_terminal_nothing_which_may_not_answer() {
    let home = home();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
    let mut top = home.cmd("iapeer");
    top.arg("top").env("TERM", "xterm");
    top.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut top = top.spawn().unwrap();
    let (mut master, mut said) = (fs::File::from(master), String::new());
    let mut until = |word: &str| {
        let mut bytes = [0; 4096];
        while !said.contains(word) {
            let count = master.read(&mut bytes).unwrap();
            said += &String::from_utf8_lossy(&bytes[..count]);
        }
        assert!(!said.contains("\x1b[6n"), "{said:?}");
        master.try_clone().unwrap()
    };
    // Half a sequence (Alt and [) holds nothing up, nor does a word that is no key.
    until("1 peer").write_all(b"\x1b[").unwrap();
    until("person").write_all(b"\x1b[Bxq").unwrap();
    assert_eq!(top.wait().unwrap().code(), Some(0));
}

#[test]
fn an_attach_that_fails_says_why_and_comes_back() {
    let home = home();
    home.parrot("bob", &[]);
    let terminal = top(&home, 80, 24);
    select(&terminal, "bob");
    terminal.press("a");
    terminal.shows("no transcript to resume");
    terminal.shows("Press Enter to go back to iapeer top");
    terminal.enter();
    terminal.shows("2 peers");
    wait_until("the screen to be whole", SOON, || is_selected(&terminal.screen(), "bob"));
}

#[test]
fn without_a_terminal_it_says_what_to_do_and_prints_one_picture_where_asked() {
    let home = home();
    home.parrot("bob", &[]);
    let refused = home.run("iapeer", &["top"]);
    assert!(refused.code == 64 && refused.stdout.is_empty(), "{refused}");
    assert!(refused.stderr.lines().count() == 1 && refused.stderr.contains("iapeer list"), "{refused}");
    let picture = home.ok("iapeer", &["top", "--once"]).stdout;
    assert_eq!(names(&picture), ["bob", "me"], "{picture}");
    assert!(picture.lines().count() == 24 && picture.lines().all(|line| line.chars().count() <= 80), "{picture}");
    home.set("COLUMNS", "160").set("LINES", "50");
    let picture = home.ok("iapeer", &["top", "--once"]).stdout;
    assert!(picture.lines().count() == 50 && picture.contains("── events"), "{picture}");
    let terminal = Terminal::sized(&home, 80, 24, &["sh"]);
    terminal.types("TERM=dumb iapeer top; echo ended with $?");
    terminal.enter();
    terminal.shows("ended with 64");
}
