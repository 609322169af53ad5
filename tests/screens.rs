//! Every captured screen of the real programs through its manifest: what the rules say it is. The screens and the
//! expected classes (`expected.txt`) are in `tests/fixtures/screens`; a screen that a release changed is Unknown.

#![allow(unreachable_pub, clippy::unwrap_used)]

use iapeer::base::{EpochMs, Paths};
use iapeer::runtime::Manifest;
use iapeer::runtime::Step;
use iapeer::runtime::manifest::{DialogReply, ScreenRules};
use iapeer::runtime::screen::{Draft, Screen, Sight};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens")
}

fn rules(runtime: &str) -> ScreenRules {
    let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "/nonexistent".into())).unwrap();
    Manifest::load(&paths, &runtime.parse().unwrap()).unwrap().screen.unwrap()
}

/// The screen `name`, which is `RUNTIME/VERSION/NN-WHAT`, as it was captured on host `vm`.
fn screen(name: &str) -> Screen {
    let read = |kind: &str| fs::read_to_string(folder().join(format!("{name}.{kind}"))).unwrap();
    let meta = read("meta");
    let title = meta.split_once(" title=").unwrap().1.split_once(" cmd=").unwrap().0;
    let title = title.split_once(" dead=").map_or(title, |(title, _)| title);
    Screen { styled: read("ansi"), title: title.into(), host: "vm".into(), width: 220 }
}

fn class(screen: &Screen, rules: &ScreenRules) -> String {
    match screen.sight(rules) {
        Sight::Blank => "blank".into(),
        Sight::Unknown => "unknown".into(),
        Sight::Dialog(dialog) => format!("dialog {}", dialog.name),
        Sight::Input { draft, busy } => {
            let draft = match draft {
                Draft::Empty => "empty",
                Draft::Paste(_) => "paste",
                Draft::Text(_) => "text",
            };
            format!("{draft}{}", if busy { " busy" } else { "" })
        }
    }
}

/// Name and class of every screen.
fn expected() -> Vec<(String, String)> {
    let text = fs::read_to_string(folder().join("expected.txt")).unwrap();
    text.lines().map(|line| line.split_once('\t').map(|(a, b)| (a.into(), b.into())).unwrap()).collect()
}

#[test]
fn every_screen_is_what_it_is_expected_to_be() {
    let wrong: Vec<String> = expected()
        .iter()
        .filter_map(|(name, wanted)| {
            let found = class(&screen(name), &rules(name.split('/').next().unwrap()));
            (found != *wanted).then(|| format!("{name}: {found}, expected {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_screen_is_in_the_list() {
    let listed: Vec<String> = expected().into_iter().map(|(name, _)| name).collect();
    let mut found = Vec::new();
    let dirs =
        |path: &Path| fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect::<Vec<_>>();
    for version in dirs(&folder()).iter().flat_map(|runtime| dirs(runtime)) {
        for file in fs::read_dir(&version).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "ansi") {
                let name = file.with_extension("").strip_prefix(folder()).unwrap().to_string_lossy().into_owned();
                assert!(listed.contains(&name), "{name} is not in expected.txt");
                found.push(name);
            }
        }
    }
    assert_eq!(found.len(), listed.len());
}

#[test]
fn a_mutated_screen_is_unknown() {
    // Glyph changed; footer or status line renamed; the title still the host's; a dialog's question reworded.
    let input: &[(&str, &[(&str, &str)])] = &[
        ("claude", &[("❯", "➤"), ("bypass permissions on", "permissions bypassed")]),
        ("codex", &[("›", "»"), (" · ", " | ")]),
    ];
    let mut tried = 0;
    for (runtime, mutations) in input {
        let rules = rules(runtime);
        let composers = ["empty", "empty busy", "text", "text busy"];
        for (name, class_was) in expected().iter().filter(|(name, _)| name.starts_with(runtime)) {
            for (from, to) in mutations.iter() {
                let mut screen = screen(name);
                screen.styled = screen.rows().join("\n").replace(from, to);
                let now = class(&screen, &rules);
                // A paste's mark is known without the footer, whose place another one may take; not without the glyph.
                let glyph = from.chars().count() == 1;
                let was_input = composers.contains(&class_was.as_str()) || glyph && class_was.starts_with("paste");
                assert!(!was_input || now == "unknown", "{name} with {to:?} is {now}");
                tried += usize::from(was_input);
            }
            if *runtime == "codex" && composers.contains(&class_was.as_str()) {
                let mut screen = screen(name);
                screen.title = "vm".into();
                assert_eq!(class(&screen, &rules), "unknown", "{name} with the host's title");
            }
            if let Some(dialog) = class_was.strip_prefix("dialog ") {
                let dialog = rules.dialogs.iter().find(|d| d.name == dialog).unwrap();
                let mut screen = screen(name);
                // Styles stand between the words of a question.
                screen.styled = screen.rows().join("\n");
                for needle in dialog.when.iter().filter_map(|needle| needle.contains.as_ref()) {
                    screen.styled = screen.styled.replace(needle, "Something else entirely");
                }
                // A screen may show an older dialog above the one that is meant.
                assert_ne!(class(&screen, &rules), *class_was, "{name} reworded");
                // What is said beside a composer does not hide it.
                let beside = dialog.name == "not-logged-in";
                assert!(beside || !composers.contains(&class(&screen, &rules).as_str()), "{name} reworded");
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_choice_is_confirmed_only_on_its_label() {
    // Before the key that was pressed at each, whether the cursor stands on the wanted row.
    let cases = [
        ("claude/2.1.329/02-apikey-dialog", false),
        ("claude/2.1.329/02-apikey-dialog-yes-selected", true),
        ("claude/2.1.329/04-trust-dialog", false),
        ("claude/2.1.329/04c-trust-yes-selected", true),
        ("claude/2.1.197/04-trust-dialog", true),
        ("claude/2.1.329/05-bypass-warning", false),
        ("claude/2.1.329/05b-bypass-accept-selected", true),
        ("claude/2.1.197/05-bypass-warning", false),
        ("claude/2.1.329/15-mcpjson-dialog", true),
        ("codex/0.169.0/13-trust-dialog-git", true),
        ("codex/0.169.0/14-hooks-review", false),
        ("codex/0.169.0/b-02-ready-noalt", false),
        ("gemini/0.61.0/02-trust-dialog", true),
    ];
    for (name, on_label) in cases {
        let rules = rules(name.split('/').next().unwrap());
        let screen = screen(name);
        let Sight::Dialog(dialog) = screen.sight(&rules) else { panic!("{name} is no dialog") };
        let DialogReply::Choose(choice) = &dialog.answer else { panic!("{name} offers no choice") };
        let row = screen.cursor_row(&choice.cursor);
        // Gemini frames its dialogs: a row is read without its frame.
        assert_eq!(row.is_some_and(|row| row.contains(&choice.label)), on_label, "{name}");
    }
}

#[test]
fn a_login_screen_is_never_answered() {
    for name in [
        "claude/2.1.329/02b-login-method-after-blind-enter",
        "claude/2.1.329/b-25-not-logged-in",
        "codex/0.169.0/11b-login-no-config",
    ] {
        let rules = rules(name.split('/').next().unwrap());
        let screen = screen(name);
        let Sight::Dialog(dialog) = screen.sight(&rules) else { panic!("{name} is no dialog") };
        assert!(matches!(&dialog.answer, DialogReply::Fail(why) if why.contains("log")), "{name}");
    }
}

#[test]
fn every_answer_that_a_rule_offers_is_on_its_screen() {
    let mut tried = 0;
    for (name, _) in expected() {
        let rules = rules(name.split('/').next().unwrap());
        let screen = screen(&name);
        let Some(rule) = screen.shown(&rules, EpochMs(0)).rule else { continue };
        // The buttons of opencode stand in one row: its server takes the answer.
        for answer in rule.answers.iter().filter(|_| !name.starts_with("opencode/")) {
            let mut all = rule.answers.iter().filter(|one| one.name == answer.name);
            assert!(all.any(|one| screen.step_to(&one.choose) != Step::Lost), "{name} has no {:?}", answer.name);
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

/// What each screen tells of the states that need somebody: state, rule, text, and how long until it ends, in minutes.
fn attention(name: &str) -> Option<String> {
    let rules = rules(name.split('/').next().unwrap());
    // When these were taken, to a minute.
    let now = EpochMs(1_795_692_470_000);
    let screen = screen(name);
    let shown = screen.shown(&rules, now);
    let told = shown.told?;
    let rule = shown.rule.map_or("-", |rule| &rule.name);
    let until = told.until.map_or("-".to_owned(), |at| format!("{}min", at.since(now).as_secs() / 60));
    let text: String = told.text.chars().take(60).collect();
    Some(format!("{}\t{rule}\t{until}\t{}", told.state, text.trim_end()))
}

/// The rules know what they are for, and nothing else: every screen that is not in `attention.txt` tells of nothing.
#[test]
fn every_screen_tells_of_the_state_that_it_shows() {
    let path = folder().join("attention.txt");
    let found: String =
        expected().iter().filter_map(|(name, _)| attention(name).map(|told| format!("{name}\t{told}\n"))).collect();
    if std::env::var_os("UPDATE_SCREENS").is_some_and(|update| update == "1") {
        fs::write(&path, &found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    for (found, wanted) in found.lines().zip(wanted.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.lines().count(), wanted.lines().count());
}
