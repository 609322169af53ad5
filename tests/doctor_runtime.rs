//! `iapeer doctor --runtime`: a scratch session, and what its screens were taken for.

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
fn a_runtime_without_a_screen_or_unknown_is_refused() {
    let home = TestHome::new();
    for runtime in ["telegram", "nosuch"] {
        let output = home.run("iapeer", &["doctor", "--runtime", runtime]);
        assert_eq!(output.code, 69, "{output}");
    }
}
