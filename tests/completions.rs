//! Completions of bash, zsh and fish know the peers, tags, runtimes and messages of this host. A shell that is not there
//! is left out and said so; with `CI=true` that fails.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use support::TestHome;

/// What a shell offers for the last of `words`.
type Offered = fn(&TestHome, &[&str]) -> Vec<String>;

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn bash(home: &TestHome, words: &[&str]) -> Vec<String> {
    let script = home.dir().join("bash").join(words[0]);
    let function = format!("_{}_named", words[0].replace('-', "__"));
    let ask = "source \"$1\"; shift; function=$1; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
               \"$function\" \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let args = [&["-c", ask, "bash", script.to_str().unwrap(), &function], words].concat();
    lines(&home.ok("bash", &args).stdout)
}

/// Types the words and a tab into an interactive zsh, which writes what its completion would add.
const TYPE_INTO_ZSH: &str = r#"
zmodload zsh/zpty
print -r -- "
PROMPT=
fpath=($1 \$fpath)
autoload -Uz compinit
compinit -u -D
comppostfuncs=(exit)
compadd() {
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd \"\$@\"; return; fi
    local -a hits
    builtin compadd -A hits \"\$@\"
    (( \$#hits )) && print -rl -- \$hits >>$2
    builtin compadd \"\$@\"
}
bindkey '^I' complete-word
print is-ready
" >$2.setup
zpty session zsh -f -i
zpty -w session "source $2.setup"
zpty -r session said '*is-ready*'
zpty -w -n session "$3"$'\t'
while zpty -r session said; do :; done
"#;

fn zsh(home: &TestHome, words: &[&str]) -> Vec<String> {
    let offered = home.dir().join("offered");
    fs::write(&offered, "").unwrap();
    let (folder, file) = (home.dir().join("zsh"), offered.to_str().unwrap().to_owned());
    home.run("zsh", &["-f", "-c", TYPE_INTO_ZSH, "zsh", folder.to_str().unwrap(), &file, &words.join(" ")]);
    lines(&fs::read_to_string(offered).unwrap())
}

fn fish(home: &TestHome, words: &[&str]) -> Vec<String> {
    let script = home.dir().join("fish").join(format!("{}.fish", words[0]));
    let ask = "source $argv[1]; complete -C $argv[2]";
    let said = home.ok("fish", &["--no-config", "-c", ask, script.to_str().unwrap(), &words.join(" ")]).stdout;
    // A description stands behind a tab.
    lines(&said).iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

fn is_there(home: &TestHome, shell: &str) -> bool {
    if home.run("sh", &["-c", &format!("command -v {shell}")]).code == 0 {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{shell} is missing");
    eprintln!("LEFT OUT: the completions of {shell}: it is not installed");
    false
}

fn offers_what_only_the_host_knows(shell: &str, offered: Offered) {
    let home = TestHome::new();
    if !is_there(&home, shell) {
        return;
    }
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[]);
    home.parrot("bert", &[]);
    home.ok("iapeer", &["tag", "bob", "add", "reviewers"]);
    home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "x"]);
    let id = home.ok("iapeer", &["inbox", "--json"]).json()["id"].as_str().unwrap().to_owned();
    home.ok("iapeer", &["completions", shell, home.dir().join(shell).to_str().unwrap()]);
    let has = |words: &[&str], wanted: &[&str]| assert_eq!(offered(&home, words), wanted, "{shell}: {words:?}");
    has(&["iapeer", "attach", "b"], &["bert", "bob"]);
    has(&["iapeer", "inbox", "m"], &["me"]);
    has(&["iapeer", "history", "--with", "bo"], &["bob"]);
    has(&["iapeer", "read", &id[..20]], &[&id]);
    has(&["iapeer", "reply", &id[..20]], &[&id]);
    has(&["iapeer", "tag", "bob", "remove", "rev"], &["reviewers"]);
    has(&["iapeer", "create", "new", "--runtime", "par"], &["parrot"]);
    has(&["iapeer", "create", "b"], &[]);
    has(&["iapeer", "send", "@"], &["@all", "@reviewers"]);
    has(&["iapeer", "connect", "telegram", "m"], &["me"]);
    has(&["iapeer", "connect", "telegram", "me", "--agent", "be"], &["bert"]);
    has(&["iapeer", "schedule", "add", "x", "--to", "@r"], &["@reviewers"]);
    has(&["iapeer-send", "@r"], &["@reviewers"]);
    has(&["iapeer-send", "bob", "--re", &id[..20]], &[&id]);
    has(&["iapeer-send", "bob", "--from", "m"], &["me"]);
    has(&["iapeer-reap", "be"], &["bert"]);
    // What clap knows is offered as before.
    has(&["iapeer", "sen"], &["send"]);
}

#[test]
fn bash_offers_what_only_the_host_knows() {
    offers_what_only_the_host_knows("bash", bash);
}

#[test]
fn zsh_offers_what_only_the_host_knows() {
    offers_what_only_the_host_knows("zsh", zsh);
}

#[test]
fn fish_offers_what_only_the_host_knows() {
    offers_what_only_the_host_knows("fish", fish);
}
