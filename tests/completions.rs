//! Completions of bash know the peers, tags, runtimes and messages of this host.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use support::TestHome;

/// What bash offers for the last of `words`.
fn offered(home: &TestHome, words: &[&str]) -> Vec<String> {
    let script = home.dir().join("bash").join(words[0]);
    let function = format!("_{}_named", words[0].replace('-', "__"));
    let ask = "source \"$1\"; shift; function=$1; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
               \"$function\" \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let args = [&["-c", ask, "bash", script.to_str().unwrap(), &function], words].concat();
    home.ok("bash", &args).stdout.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn what_only_the_host_knows_is_offered_by_bash() {
    let home = TestHome::new();
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[]);
    home.parrot("bert", &[]);
    home.ok("iapeer", &["tag", "bob", "add", "reviewers"]);
    home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "x"]);
    let id = home.ok("iapeer", &["inbox", "--json"]).json()["id"].as_str().unwrap().to_owned();
    home.ok("iapeer", &["completions", "bash", home.dir().join("bash").to_str().unwrap()]);
    let has = |words: &[&str], wanted: &[&str]| assert_eq!(offered(&home, words), wanted, "{words:?}");
    has(&["iapeer", "attach", "b"], &["bert", "bob"]);
    has(&["iapeer", "inbox", "m"], &["me"]);
    has(&["iapeer", "history", "--with", "bo"], &["bob"]);
    has(&["iapeer", "read", &id[..20]], &[&id]);
    has(&["iapeer", "reply", &id[..20]], &[&id]);
    has(&["iapeer", "tag", "bob", "remove", "rev"], &["reviewers"]);
    has(&["iapeer", "create", "new", "--runtime", "par"], &["parrot"]);
    has(&["iapeer", "create", "b"], &[]);
    has(&["iapeer", "send", "@"], &["@all", "@reviewers"]);
    has(&["iapeer-send", "@r"], &["@reviewers"]);
    has(&["iapeer-send", "bob", "--re", &id[..20]], &[&id]);
    has(&["iapeer-send", "bob", "--from", "m"], &["me"]);
    has(&["iapeer-reap", "be"], &["bert"]);
    // What clap knows is offered as before.
    has(&["iapeer", "sen"], &["send"]);
}
