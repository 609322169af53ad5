//! Each check finds what it is for, in small invented trees, and nothing else.

use crate::layers::rules::Tree;

/// Three rooms and the host; `one` is the topmost.
const LIB: &str =
    "//! | room | what |\n//! |---|---|\n//! | [`one`] | x |\n//! | [`host`] | x |\n//! | [`two`] | x |\n";

/// A tree with a table of the rooms `one`, `host` and `two`, and these files.
fn tree(files: &[(&str, &str)]) -> Tree {
    let mut all = vec![("src/lib/lib.rs".to_owned(), LIB.to_owned())];
    for room in ["one", "host", "two"] {
        let path = format!("src/lib/{room}/mod.rs");
        if !files.iter().any(|(given, _)| *given == path) {
            all.push((path, "#![forbid(unsafe_code)]\n".to_owned()));
        }
    }
    all.extend(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    Tree::read(&all)
}

fn numbered(line: impl Fn(usize) -> String, count: usize) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

#[test]
fn a_room_may_not_use_one_below_it() {
    let below = "src/lib/one/a.rs:2: `one` uses `two` (src/lib/two/b.rs), which is below it";
    let b = ("src/lib/two/b.rs", "pub struct B;\npub fn b() {}\n");
    let head = ("src/lib/two/mod.rs", "#![forbid(unsafe_code)]\npub mod b;\npub use b::{B, b as by_another_name};\n");
    for text in [
        "\nuse crate::two::b::B;",
        "\nuse crate::{two::b::{B, b}};",
        "\nuse crate::two::B;",
        "\nfn f() { crate::two::by_another_name() }",
        "\nfn f() { println!(\"{}\", crate::two::b::b()) }",
        "use crate::two;\nfn f() { two::b::b() }",
        "\nfn f(_: super::super::two::B) {}",
        "\n#[cfg(test)] mod tests { use super::super::super::two::B; }",
    ] {
        let found = tree(&[("src/lib/one/a.rs", text), b, head]).rooms();
        assert!(found.contains(&below.to_owned()), "{text}: {found:?}");
    }
    for text in [
        "// use crate::two::B;\n/* crate::two::B */\n/// crate::two::B\nconst X: &str = \"crate::two::B\";",
        "mod two { pub struct B; }\nuse two::B;",
        "use std::two::B;",
    ] {
        assert_eq!(tree(&[("src/lib/one/a.rs", text), b, head]).rooms(), [""; 0], "{text}");
    }
    let above = ("src/lib/two/b.rs", "use crate::one::a::A;\nfn f() { crate::host::x() }");
    assert_eq!(tree(&[("src/lib/one/a.rs", "pub struct A;"), above]).rooms(), [""; 0]);
}

#[test]
fn the_table_has_every_room_and_no_other() {
    let found = tree(&[("src/lib/three.rs", "#![forbid(unsafe_code)]")]).rooms();
    assert_eq!(found, ["src/lib/three.rs:1: the room `three` is missing from the table in src/lib/lib.rs"]);
    let only = [("src/lib/lib.rs".to_owned(), "//! | [`gone`] | x |".to_owned())];
    let found = Tree::read(&only).rooms();
    assert_eq!(found, ["src/lib/lib.rs:1: the table has a row for `gone`, and there is no such room"]);
}

#[test]
fn every_room_but_the_host_forbids_unsafe_code() {
    let found = tree(&[("src/lib/one/mod.rs", "// #![forbid(unsafe_code)]"), ("src/lib/host/mod.rs", "")]).rooms();
    assert_eq!(found, ["src/lib/one/mod.rs:1: the room `one` does not begin with #![forbid(unsafe_code)]"]);
}

#[test]
fn files_may_not_use_each_other_in_a_circle() {
    let found = tree(&[("src/lib/one/a.rs", "use super::b::B;\n"), ("src/lib/one/b.rs", "\nuse crate::one::a::A;\n")]);
    assert_eq!(
        found.circles(),
        ["src/lib/one/a.rs:1: a circle of imports: src/lib/one/a.rs:1 → src/lib/one/b.rs:2 → src/lib/one/a.rs"]
    );
    // Through the names that a head re-exports, a renamed module, a test, and three files.
    for (a, b, c) in [
        ("use crate::one::B;", "use super::A;", ""),
        ("use crate::one as here;\nfn f() { here::b::b() }", "fn b() { super::a::f() }", ""),
        ("#[cfg(test)]\nmod tests {\n use super::super::b::B;\n}", "use super::a::f;", ""),
        ("use super::b::B;", "use super::c::C;", "fn c() { super::a::f() }"),
    ] {
        let head =
            ("src/lib/one/mod.rs", "#![forbid(unsafe_code)]\nmod a;\nmod b;\nmod c;\npub use a::A;\npub use b::B;\n");
        let found = tree(&[head, ("src/lib/one/a.rs", a), ("src/lib/one/b.rs", b), ("src/lib/one/c.rs", c)]).circles();
        assert_eq!(found.len(), 1, "{a}: {found:?}");
        assert!(!found[0].contains("mod.rs"), "{found:?}");
    }
    // A head that re-exports its files is no part of a circle; one that does something by them and for them is.
    let file = ("src/lib/one/a.rs", "use super::Shared;\npub struct A(Shared);");
    let facade = ("src/lib/one/mod.rs", "#![forbid(unsafe_code)]\nmod a;\npub use a::A;\npub struct Shared;");
    assert_eq!(tree(&[file, facade]).circles(), [""; 0]);
    let doing = ("src/lib/one/mod.rs", "#![forbid(unsafe_code)]\nmod a;\npub struct Shared;\nfn f() { a::A(Shared) }");
    assert_eq!(tree(&[file, doing]).circles().len(), 1);
    // To name a module is to use nothing of it yet.
    let names = ("src/lib/one/a.rs", "use super::b;\nfn f() { b::c::g() }");
    let found =
        tree(&[names, ("src/lib/one/b/mod.rs", "use super::a::f;"), ("src/lib/one/b/c.rs", "fn g() {}")]).circles();
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_rule_imports_the_base_and_nothing_else() {
    let lib = "//! | [`base`] | x |\n//! | [`store`] | x |\n//! | [`session`] | x |\n";
    let with = |path: &str, text: &str| {
        let forbid = "#![forbid(unsafe_code)]\n";
        let files = [
            ("src/lib/lib.rs", lib),
            ("src/lib/base/mod.rs", forbid),
            ("src/lib/store/mod.rs", forbid),
            ("src/lib/session/mod.rs", forbid),
            ("src/lib/session/launch.rs", "pub struct Launch;"),
            (path, text),
        ];
        Tree::read(&files.map(|(path, text)| (path.to_owned(), text.to_owned()))).decisions()
    };
    for path in ["src/lib/session/rule.rs", "src/lib/session/crash_loop.rs"] {
        for (text, used) in [
            ("use crate::store::Queue;", "src/lib/store/mod.rs"),
            ("use super::launch::Launch;", "src/lib/session/launch.rs"),
            ("fn f() { crate::store::read() }", "src/lib/store/mod.rs"),
            ("use nix::unistd::Pid;", "nix::unistd::Pid"),
            ("use std::{fmt, fs};", "std::fs"),
            ("fn f() { std::env::var(\"X\") }", "std::env::var"),
            ("#[cfg(test)]\nmod tests { use crate::store::Queue; }", "src/lib/store/mod.rs"),
        ] {
            let found = with(path, text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with(path) && found[0].ends_with(&format!(": a rule uses {used}")), "{found:?}");
        }
        let pure = "use crate::base::Identity;\nuse serde::Serialize;\nuse std::fmt;\nenum Mode { Fresh }\n\
                    fn f() -> Mode { let _ = (u64::MAX, str::len(\"x\"), Duration::ZERO); Mode::Fresh }\n\
                    #[cfg(test)]\nmod tests { use super::*; use proptest::prelude::*; fn g() { Mode::Fresh } }";
        assert_eq!(with(path, pure), [""; 0]);
    }
    assert_eq!(with("src/lib/session/other.rs", "use crate::store::Queue;\nuse std::fs;"), [""; 0]);
}

#[test]
fn only_the_host_touches_the_machine() {
    for text in [
        "use std::process::Command;",
        "use std::process;\nfn f() { process::Command::new(\"x\") }",
        "use std::os::unix::process::CommandExt as _;",
        "fn f() { nix::sys::signal::kill(pid, None) }",
        "use nix::sys::signal::{Signal, killpg};",
        "use nix::sys::signal;\nfn f() { signal::raise(signal::Signal::SIGTERM) }",
        "fn f() { signal_hook::low_level::raise(15) }",
        "use std::os::unix::net::UnixStream;\nfn f() { UnixStream::connect(\"/s\") }",
        "fn f() { nix::unistd::execv(a, b) }",
        "const STAT: &str = \"/proc/self/stat\";",
        "fn f() { read_dir(r\"/dev/fd\") }",
        "fn f() { format!(\"/proc/{pid}/cgroup\") }",
        "const MANAGER: &str = \"systemctl\";",
        "fn f() { detached(\"/usr/bin/launchctl\") }",
        "fn f() { spawn::find_program(\"tmux\", path) }",
        "fn f() { program::ask(\"ps\", &[]) }",
        "#[cfg(test)]\nmod tests { fn f() { std::process::Command::new(program) } }",
        "fn f() { unsafe { g() } }",
        "unsafe impl Send for X {}",
    ] {
        for path in ["src/lib/two/b.rs", "src/bin/iapeer.rs"] {
            let found = tree(&[(path, text)]).host();
            assert!(!found.is_empty() && found.iter().all(|line| line.starts_with(path)), "{text}: {found:?}");
        }
        assert_eq!(tree(&[("src/lib/host/b.rs", text)]).host(), [""; 0], "{text}");
    }
    let harmless = "//! tmux, systemctl, kill, /proc, unsafe\n\
                    use nix::sys::signal::Signal;\nuse std::process::ExitCode;\nuse std::os::unix::net::UnixStream;\n\
                    fn f() { UnixStream::pair(); Finding::error(\"tmux\", \"no tmux on PATH\"); say(\"`loginctl enable\") }\n\
                    fn g() { std::process::id(); list(\"/procession\"); kill(\"kill -9\") /* /proc */ }\n";
    assert_eq!(tree(&[("src/lib/two/b.rs", harmless)]).host(), [""; 0]);
}

#[test]
fn rooms_and_files_stay_small() {
    let code = |count| numbered(|n| format!("fn f{n}() {{}}"), count);
    // Seven rooms of 10 lines and one of 20: more than 15 % of 90, and so is no other.
    let lib = numbered(|n| format!("//! | [`r{n}`] | x |"), 8);
    let mut files = vec![("src/lib/lib.rs".to_owned(), lib)];
    for n in 0..8 {
        let remarks = "// remark\n/// documentation\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n".repeat(20);
        files.push((format!("src/lib/r{n}/mod.rs"), remarks + &code(if n == 7 { 20 } else { 10 })));
    }
    let found = Tree::read(&files).sizes();
    assert_eq!(found, ["src/lib/r7: 20 lines of code, 22.2 % of the library: more than 15 %"]);
    files.last_mut().unwrap().1 = code(10);
    assert_eq!(Tree::read(&files).sizes(), [""; 0]);

    files.push(("src/bin/long.rs".to_owned(), "//\n".repeat(451)));
    assert_eq!(Tree::read(&files).sizes(), ["src/bin/long.rs:451: more than 450 lines"]);
    files.last_mut().unwrap().1 = "//\n".repeat(450);
    assert_eq!(Tree::read(&files).sizes(), [""; 0]);
    for path in ["tests/long.rs", "tests/long/part.rs", "benches/long.rs", "fuzz/fuzz_targets/long.rs"] {
        // Nothing else is checked there.
        let text = "fn f() { std::fs::read(\"/proc\"); unsafe { g() } }\n";
        files.push((path.to_owned(), text.repeat(451)));
        let tree = Tree::read(&files);
        assert_eq!(tree.sizes(), [format!("{path}:451: more than 450 lines")]);
        assert_eq!([tree.host(), tree.reads()].concat(), [""; 0], "{path}");
        files.last_mut().unwrap().1 = text.repeat(450);
        assert_eq!(Tree::read(&files).sizes(), [""; 0]);
        files.pop();
    }

    for (lines, found) in
        [(120, &[][..]), (121, &["src/lib: the median file has 121 lines of code: more than 120"][..])]
    {
        files[1..9].iter_mut().for_each(|(_, text)| *text = code(lines));
        assert_eq!(Tree::read(&files).sizes(), found);
    }
}

#[test]
fn a_line_of_code_has_something_on_it_that_is_no_comment() {
    let text = "//! Head.\n\nuse a::b;\n\n/// Documentation.\n#[derive(Debug)]\nstruct S {\n    // remark\n    a: &str,\n}\n\n\
                const T: &str = \"one\n\ntwo\";\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
    // use, derive, struct, field, brace, and three lines of text.
    let source = crate::layers::source::Source::read("src/lib/x.rs", text).unwrap();
    assert_eq!((source.code_lines, source.lines), (8, 18));
}

#[test]
fn a_file_that_is_not_rust_is_a_problem() {
    let found = tree(&[("src/lib/one/a.rs", "fn f( {")]).problems();
    assert!(found[0].starts_with("src/lib/one/a.rs: cannot be read: "), "{found:?}");
}

#[test]
fn files_are_read_without_waiting() {
    let found = |path: &str, text: &str| tree(&[(path, text)]).reads();
    for text in [
        "fn f() { std::fs::read_to_string(\"x\"); }",
        "use std::fs;\nfn f() { fs::read(\"x\"); }",
        "use std::fs::File;\nfn f() { File::open(\"x\"); }",
    ] {
        assert_eq!(found("src/lib/one/a.rs", text).len(), 1, "{text}");
        assert_eq!(found("src/lib/host/a.rs", text), [""; 0], "{text}");
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{text}\n}}");
        assert_eq!(found("src/lib/one/a.rs", &in_tests), [""; 0], "{in_tests}");
    }
    assert_eq!(found("src/lib/one/a.rs", "fn f() { std::fs::read_dir(\"x\"); }"), [""; 0]);
}
