//! The shells' completion scripts: those that clap generates, with a call of `iapeer names` for each argument that names a
//! peer, a tag, a runtime or a message of this host.

use crate::cli::names::Names;
use clap::{Command, ValueHint};
use clap_complete::Shell;
use std::collections::BTreeSet;

/// The script for one program.
pub(crate) fn script(shell: Shell, program: &str, mut command: Command) -> String {
    let places = places(&command);
    if shell == Shell::Zsh {
        command = marked(command, None);
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, program, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        _ if places.is_empty() => script,
        Shell::Bash => script + &for_bash(program, &places, command.has_subcommands()),
        Shell::Zsh => for_zsh(&script),
        Shell::Fish => script + &for_fish(program, &places),
        _ => script,
    }
}

/// An argument that takes names of this host.
struct Place {
    /// The verbs before the argument, at most two.
    verbs: Vec<String>,
    /// The option whose value the argument is; `None`: positional arguments.
    option: Option<String>,
    /// The kinds of names, as `iapeer names` takes them.
    kinds: String,
}

fn places(command: &Command) -> Vec<Place> {
    let mut found = Vec::new();
    collect(command, &[], &mut found);
    found
}

fn collect(command: &Command, verbs: &[String], found: &mut Vec<Place>) {
    let verb = verbs.first().map_or("", String::as_str);
    let mut alone = BTreeSet::new();
    for argument in command.get_arguments() {
        let Some(names) = Names::wanted_by(verb, argument) else { continue };
        match argument.get_long() {
            Some(long) => {
                found.push(Place { verbs: verbs.to_vec(), option: Some(long.to_owned()), kinds: names.word() });
            }
            None => drop(alone.insert(names.word())),
        }
    }
    if !alone.is_empty() {
        let kinds = alone.into_iter().collect::<Vec<_>>().join(" ");
        found.push(Place { verbs: verbs.to_vec(), option: None, kinds });
    }
    for sub in command.get_subcommands() {
        collect(sub, &[verbs, &[sub.get_name().to_owned()]].concat(), found);
    }
}

/// Appended to clap's script: a function that calls clap's function first, and adds names to what that offers.
fn for_bash(program: &str, places: &[Place], has_verbs: bool) -> String {
    let function = format!("_{}", program.replace('-', "__"));
    let (mut options, mut alone) = (String::new(), String::new());
    for Place { verbs, option, kinds } in places {
        // After a single verb any word may follow, since two words are compared.
        let pattern = match verbs.as_slice() {
            [] => String::new(),
            [verb] => format!("{verb}\\ *"),
            verbs => format!("{}\\ ", verbs.join("\\ ")),
        };
        match option {
            Some(long) => options.push_str(&format!("        {pattern}:--{long}) kind={kinds} ;;\n")),
            None => alone.push_str(&format!("            {pattern}:) kind=\"{kinds}\" ;;\n")),
        }
    }
    // Up to two words before the cursor, and a blank.
    let verbs = if has_verbs { "${COMP_WORDS[*]:1:COMP_CWORD > 2 ? 2 : COMP_CWORD - 1} " } else { "" };
    format!(
        r#"
{function}_named() {{
    {function} "$@"
    local cur="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" verbs="{verbs}" kind=
    case "$verbs:$before" in
{options}        *) ;;
    esac
    if [[ -z $kind && $cur != -* && $before != -* ]]; then
        case "$verbs:" in
{alone}            *) ;;
        esac
    fi
    if [[ -n $kind ]]; then
        COMPREPLY+=($(compgen -W "$(iapeer names $kind 2>/dev/null)" -- "$cur"))
    fi
}}
complete -F {function}_named -o bashdefault -o default {program}
"#
    )
}

/// For each kind of name the value hint that marks its arguments while clap generates the zsh script, and the action that
/// clap writes for this hint. No argument of iapeer has one of these hints otherwise.
const MARKS: [(Names, ValueHint, &str); 5] = [
    (Names::Peers, ValueHint::Username, "_users"),
    (Names::Recipients, ValueHint::EmailAddress, "_email_addresses"),
    (Names::Runtimes, ValueHint::CommandString, "_cmdstring"),
    (Names::Ids, ValueHint::Hostname, "_hosts"),
    (Names::Tags, ValueHint::Url, "_urls"),
];

/// The command with the hints of [`MARKS`] at its arguments.
fn marked(command: Command, verb: Option<&str>) -> Command {
    let command = command.mut_args(|argument| {
        let wanted = Names::wanted_by(verb.unwrap_or_default(), &argument);
        match MARKS.iter().find(|(names, ..)| Some(*names) == wanted) {
            Some((_, hint, _)) => argument.value_hint(*hint),
            None => argument,
        }
    });
    command.mut_subcommands(|sub| {
        let name = sub.get_name().to_owned();
        marked(sub, Some(verb.unwrap_or(&name)))
    })
}

/// Replaces each mark in clap's script by a call of `_iapeer_names`. An argument that may be repeated (`*::`) becomes `*:`,
/// since zsh would complete no options after the former.
fn for_zsh(script: &str) -> String {
    let called = |line: &str| {
        let mark = MARKS
            .iter()
            .find_map(|(names, _, action)| Some((line.strip_suffix(&format!(":{action}' \\"))?, names.word())));
        match mark {
            Some((line, kind)) => {
                let line = line.strip_prefix("'*::").map_or_else(|| line.to_owned(), |rest| format!("'*:{rest}"));
                format!("{line}:_iapeer_names {kind}' \\\n")
            }
            None => format!("{line}\n"),
        }
    };
    let called: String = script.lines().map(called).collect();
    // Inserted before the program's own function, after the line that names the program.
    let function = r#"
(( $+functions[_iapeer_names] )) ||
_iapeer_names() {
    local -a names
    names=(${(f)"$(iapeer names $@[-1] 2>/dev/null)"})
    compadd "${@[1,-2]}" -a names
}
"#;
    called.replacen("\nautoload -U is-at-least\n", &format!("\nautoload -U is-at-least\n{function}"), 1)
}

/// Appended to clap's script: fish merges several definitions of the same option.
fn for_fish(program: &str, places: &[Place]) -> String {
    let using = format!("__fish_{}_using_subcommand", program.replace('-', "_"));
    let mut out = String::new();
    for Place { verbs, option, kinds } in places {
        let condition = match verbs.as_slice() {
            [] => String::new(),
            [verb] => format!(" -n \"{using} {verb}\""),
            [verb, rest @ ..] => format!(" -n \"{using} {verb}; and __fish_seen_subcommand_from {}\"", rest.join(" ")),
        };
        let option = option.as_ref().map(|long| format!(" -l {long} -r")).unwrap_or_default();
        out.push_str(&format!("complete -c {program}{condition}{option} -f -a \"(iapeer names {kinds})\"\n"));
    }
    out
}
