//! `iapeer doctor --runtime`: a scratch session, and what its screens were taken for.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use support::TestHome;

#[test]
fn it_says_which_rule_matched_and_leaves_nothing() {
    let home = TestHome::new();
    let output = home.ok("iapeer", &["doctor", "--runtime", "parrot", "--json"]);
    let last = output.json_lines().pop().unwrap();
    assert_eq!(last["what"], "composer empty", "{output}");
    let rules = last["rules"].as_array().unwrap();
    assert!(rules.contains(&json!({"rule": "ready[0]", "holds": true})), "{output}");
    assert_eq!(home.ok("iapeer", &["list", "--json"]).stdout, "");
}

#[test]
fn a_broken_manifest_is_named_where_it_can_be_mended() {
    let home = TestHome::new();
    let own = home.root().join("runtimes/parrot/runtime.json");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, r#"{"nonsense": 1}"#).unwrap();
    for words in [&["doctor", "--runtime", "parrot"], &["demo", "--runtime", "parrot"]] {
        let output = home.run("iapeer", words);
        assert!(output.code == 78 && output.stderr.contains(own.to_str().unwrap()), "{output}");
        assert_eq!(output.stderr.matches("iapeer: ").count(), 1, "{output}");
    }
}

#[test]
fn a_runtime_without_a_screen_or_unknown_is_refused() {
    let home = TestHome::new();
    for runtime in ["telegram", "nosuch"] {
        let output = home.run("iapeer", &["doctor", "--runtime", runtime]);
        assert_eq!(output.code, 69, "{output}");
    }
}
