//! Transcripts, which usage and timeline are made from, and the file that the timeline's picture is written to.

use crate::*;

/// The records of a turn that ends before it began, of all the tokens that a number can hold, at the ends of time.
fn odd_records(cwd: &Path) -> String {
    let cwd = cwd.to_str().unwrap();
    let usage = json!({"input_tokens": u64::MAX, "output_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX, "cache_read_input_tokens": u64::MAX});
    let mut text = String::new();
    for at in ["2026-11-26T20:00:00Z", "2999-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        for line in [
            json!({"type": "user", "cwd": cwd, "promptSource": "typed", "timestamp": at, "message": {"role": "user", "content": "x"}}),
            json!({"type": "assistant", "cwd": cwd, "timestamp": "2026-11-26T19:00:00Z", "message": {"role": "assistant", "model": "\u{1b}[2J\u{202e}m", "usage": usage}}),
            json!({"type": "assistant", "timestamp": at, "message": {"role": "assistant", "model": "m", "usage": usage}}),
            json!({"type": "system", "subtype": "turn_duration", "durationMs": u64::MAX, "timestamp": "2026-11-26T18:00:00Z"}),
            json!({"timestamp": 1e300, "type": "user", "promptSource": "typed"}),
        ] {
            text += &format!("{line}\n");
        }
    }
    text
}

#[test]
fn transcripts_may_be_anything() {
    let home = home();
    // A peer of Claude Code's, which need not be installed to be told of.
    home.ok("iapeer", &["create", "clo", "--runtime", "claude"]);
    let slug: String =
        home.cwd("clo").to_str().unwrap().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let dir = home.home().join(".claude/projects").join(slug);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("a.jsonl");
    let page = home.dir().join("page.html");
    let page = page.to_str().unwrap();
    let told = |what: &str| {
        for words in [
            &["iapeer", "usage", "--since", "2000-01-01T00:00:00Z"][..],
            &["iapeer", "usage", "--by", "day", "--since", "2000-01-01T00:00:00Z"],
            &["iapeer", "usage", "--by", "model", "--json"],
            &["iapeer", "timeline"],
            &["iapeer", "timeline", "--since", "2000-01-01T00:00:00Z"],
            &["iapeer", "timeline", "--svg", "-"],
            &["iapeer", "timeline", "--html", page],
            &["iapeer", "list"],
            &["iapeer", "status"],
        ] {
            let said = soon(&home, words);
            assert_eq!(said.code, 0, "{what}: {words:?}: {said}");
            assert!(!said.stdout.contains('\u{1b}') && !said.stdout.contains('\u{202e}'), "{what}: {words:?}: {said}");
        }
    };
    for kind in KINDS {
        place(kind, &path);
        told(kind);
        clear(&path);
    }
    // A line without an end, a line of 300 MB, and behind it one that counts.
    fs::write(&path, odd_records(&home.cwd("clo"))).unwrap();
    told("odd records");
    let good = odd_records(&home.cwd("clo"));
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"{\"type\":\"user\",\"x\":\"").unwrap();
    for _ in 0..300 {
        file.write_all(&[b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\"}\n").unwrap();
    file.write_all(good.as_bytes()).unwrap();
    drop(file);
    told("a line of 300 MB");
    let used = soon(&home, &["iapeer", "usage", "--since", "2000-01-01T00:00:00Z", "--json"]).json_lines();
    let row = used.iter().find(|row| row["peer"] == "clo").unwrap();
    assert_ne!(row["usage"]["tokens"]["output"], 0, "what stands behind it counts: {row}");
    clear(&path);
    bob_is_served(&home, "after all that");
}

#[test]
fn a_picture_is_written_where_it_is_asked_for_and_nowhere_else() {
    let home = home();
    let at = |name: &str| home.dir().join(name);
    // A link is followed, not replaced.
    fs::write(at("target.svg"), "old").unwrap();
    symlink(at("target.svg"), at("link.svg")).unwrap();
    home.ok("iapeer", &["timeline", "--svg", at("link.svg").to_str().unwrap()]);
    assert!(at("link.svg").symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(at("target.svg")).unwrap().starts_with("<svg"));
    // A device is written to, not replaced.
    let out = at("out.svg");
    let mut command = home.cmd("sh");
    command.args(["-c", "iapeer timeline --svg /dev/stdout | cat > \"$1\"", "sh"]).arg(&out);
    assert_eq!(home.start(command, None).wait(SOON).code, 0);
    assert!(fs::read_to_string(&out).unwrap().starts_with("<svg"));
    for bad in ["missing/x.svg", "."] {
        let said = soon(&home, &["iapeer", "timeline", "--svg", at(bad).to_str().unwrap()]);
        assert!(said.code == 73 && said.stderr.lines().count() == 1, "{bad}: {said}");
    }
}
