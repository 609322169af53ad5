//! A program that takes the terminal over, and panics: the terminal is as it was, and the reason can be read on it.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;
use support::{Terminal, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn the_terminal_is_sane_and_the_reason_readable_after_a_panic_of_top() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none").unset("RUST_BACKTRACE");
    home.parrot("bob", &[]);
    let terminal = Terminal::sized(&home, 80, 24, &["sh"]);
    terminal.types("PS1='% '; stty -g >before; clear; echo what stood here before");
    terminal.enter();
    terminal.shows("what stood here before");
    let settings = |name: &str| fs::read_to_string(home.home().join(name)).unwrap_or_default();
    // In the middle of a picture, at a key, and in a thread that reads.
    for place in ["top.draw:2", "top.key", "top.read"] {
        let name = place.split(':').next().unwrap();
        terminal.types(&format!("IAPEER_PANIC={place} iapeer top; echo ended with $?; stty -g >after"));
        terminal.enter();
        if place == "top.key" {
            terminal.shows("── screen");
            terminal.press("Down");
        }
        // Killed by SIGABRT, as a release is.
        terminal.shows("ended with 134");
        let screen = terminal.screen();
        let reason = screen.lines().position(|line| line.trim_end().ends_with(&format!("asked for at {name}")));
        let end = screen.lines().position(|line| line == "ended with 134");
        assert!(reason.is_some() && reason < end, "{place}: each line of the reason begins at the left:\n{screen}");
        assert!(screen.contains("panicked at src/lib/base/step/failpoints.rs"), "{place}:\n{screen}");
        assert!(!screen.contains("── screen"), "{place}: nothing is left of the picture:\n{screen}");
        wait_until("the settings", SOON, || settings("after").ends_with('\n'));
        assert_eq!(settings("after"), settings("before"), "{place}");
        let modes = "#{alternate_on} #{cursor_flag} #{bracket_paste_flag} #{mouse_any_flag} #{keypad_flag}";
        let modes = terminal.tmux(&["display-message", "-p", "-t", "person", modes]).stdout;
        assert_eq!(modes.trim().replace("  ", " 0 "), "0 1 0 0 0", "{place}");
        fs::remove_file(home.home().join("after")).unwrap();
        terminal.types("clear");
        terminal.enter();
        wait_until("a clear screen", SOON, || !terminal.screen().contains("ended"));
    }
}
