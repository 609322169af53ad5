//! One manual page: the text of a page under `docs/`, with options, settings and files filled in.

use super::markdown::{self, Block};
use super::programs::{ManualProgram, PROGRAMS};
use crate::base::exit::one_line;
use crate::base::settings::{PLACES, TABLE};
use crate::parrot::VARIABLES;
use clap::{Arg, Command};
use clap_mangen::roff::{Roff, bold, italic, roman};

const STATE_FILES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/state-files.md"));
const FRONT: &str = "iapeer";

/// The manual page of `program`, section 1, as roff.
pub fn page(program: &ManualProgram) -> String {
    let mut command = (program.command)();
    command.build();
    let name = program.name;
    let parts = Parts::of(program.page);
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {}", parts.purpose))]);
    roff.control("SH", ["SYNOPSIS"]);
    markdown::verbatim(&mut roff, &parts.synopsis);
    roff.control("SH", ["DESCRIPTION"]);
    markdown::write(&mut roff, &parts.description);
    roff.control("SH", ["OPTIONS"]);
    options(&mut roff, &command);
    if name == FRONT {
        verbs(&mut roff, &command);
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in parts.exits {
        markdown::tagged(&mut roff, &format!("**{code}**"), &meaning);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    environment(&mut roff, name, program.page);
    roff.control("SH", ["FILES"]);
    files(&mut roff, name);
    roff.control("SH", ["SEE ALSO"]);
    see_also(&mut roff, name);
    // Without a date, so that the same source gives the same page. Not by `Roff`, which would leave out the empty argument.
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {} 1 \"\" \"iapeer {version}\" \"iapeer manual\"\n{}", name.to_uppercase(), roff.to_roff())
}

/// What a page under `docs/` consists of.
struct Parts {
    purpose: String,
    synopsis: Vec<String>,
    description: Vec<Block>,
    exits: Vec<(String, String)>,
}

impl Parts {
    fn of(text: &str) -> Parts {
        let title = text.lines().next().unwrap_or_default();
        let purpose = title.split_once(": ").map_or("", |(_, purpose)| purpose).to_owned();
        let (mut synopsis, mut exits, mut description) = (Vec::new(), Vec::new(), Vec::new());
        for block in markdown::blocks(text) {
            match block {
                Block::Verbatim(lines) if synopsis.is_empty() => synopsis = lines,
                Block::Paragraph(text) if text.starts_with("Exit: ") => exits = statuses(&text["Exit: ".len()..]),
                other => description.push(other),
            }
        }
        Parts { purpose, synopsis, description, exits }
    }
}

/// `0 done · 64 usage.` as its pairs.
fn statuses(text: &str) -> Vec<(String, String)> {
    let pair = |part: &str| {
        let (code, meaning) = part.split_once(' ').unwrap_or((part, "done"));
        (code.trim_end_matches(',').to_owned(), meaning.to_owned())
    };
    text.trim_end_matches('.').split(" · ").map(str::trim).map(pair).collect()
}

fn options(roff: &mut Roff, command: &Command) {
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        option(roff, arg);
    }
}

fn option(roff: &mut Roff, arg: &Arg) {
    let names = arg.get_value_names().map(|names| names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
    let value = names.filter(|_| arg.get_action().takes_values()).map(|names| names.join(" "));
    let mut line = Vec::new();
    let short = arg.get_short().map(|c| format!("-{c}"));
    let longs = arg.get_long_and_visible_aliases().unwrap_or_default();
    let flags = short.into_iter().chain(longs.into_iter().map(|long| format!("--{long}")));
    for flag in flags {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.push(bold(flag));
    }
    if let Some(value) = value {
        if !line.is_empty() {
            line.push(roman(" "));
        }
        let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "..." } else { "" };
        line.push(italic(format!("{value}{many}")));
    }
    roff.control("TP", []).text(line);
    let mut help = one_line(&arg.get_help().map(|help| help.to_string()).unwrap_or_default());
    if !help.ends_with('.') {
        help.push('.');
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if !defaults.is_empty() && arg.get_action().takes_values() && !help.contains("Default: ") {
        help.push_str(&format!(" Default: {}.", defaults.join(" ")));
    }
    let values: Vec<String> = match arg.get_action().takes_values() {
        true => arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        false => Vec::new(),
    };
    if !values.is_empty() {
        help.push_str(&format!(" One of: {}.", values.join(", ")));
    }
    roff.text(markdown::inlines(&help));
}

/// The verbs of `iapeer` itself, each with its arguments, then the other programs.
fn verbs(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["VERBS"]);
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        let mut verb = verb.clone();
        let usage = verb.render_usage().to_string();
        let usage = one_line(usage.trim_start_matches("Usage: "));
        roff.control("SS", [usage.as_str()]);
        let mut about = verb.get_about().map(|about| one_line(&about.to_string())).unwrap_or_default();
        if !about.ends_with('.') {
            about.push('.');
        }
        roff.text(markdown::inlines(&about));
        for arg in verb.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
            option(roff, arg);
        }
        for inner in verb.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let about = inner.get_about().map(|about| one_line(&about.to_string())).unwrap_or_default();
            roff.control("TP", []).text([bold(inner.get_name())]);
            roff.text(markdown::inlines(&about));
            inner.get_arguments().filter(|arg| arg.get_id() != "help").for_each(|arg| option(roff, arg));
        }
    }
    roff.control("SH", ["PROGRAMS"]);
    roff.text(markdown::inlines("Each of these is also a verb: `iapeer send` runs `iapeer-send`."));
    for program in PROGRAMS.iter().filter(|program| program.name != FRONT) {
        let parts = Parts::of(program.page);
        markdown::tagged(roff, &format!("**{}**(1)", program.name), &parts.purpose);
    }
}

/// In the page of `iapeer` all settings, in another page those that it mentions.
fn environment(roff: &mut Roff, name: &str, page: &str) {
    let is_for_all = |variable: &str| ["IAPEER_ROOT", "IAPEER_LOG"].contains(&variable);
    for place in PLACES.iter().filter(|place| name == FRONT || is_for_all(place.name) || page.contains(place.name)) {
        markdown::tagged(roff, &format!("`{}`", place.name), &format!("{} Default: {}.", place.doc, place.default));
    }
    if page.contains("PEER_IDENTITY") {
        markdown::tagged(roff, "`PEER_IDENTITY`", "Whose session this is: set in every session.");
    }
    for setting in TABLE.iter().filter(|setting| name == FRONT || page.contains(setting.name)) {
        let doc = format!("{} Default: {} ({}).", setting.doc, setting.default, setting.unit);
        markdown::tagged(roff, &format!("`{}`", setting.name), &doc);
    }
    if name == "iapeer-parrot" {
        for (name, doc) in VARIABLES {
            markdown::tagged(roff, &format!("`{name}`"), doc);
        }
    }
    if name != FRONT {
        roff.control("PP", []).text(markdown::inlines("All settings are in **iapeer**(1)."));
    }
}

/// In the page of `iapeer` the tree of `docs/state-files.md`, in another page only its root.
fn files(roff: &mut Roff, name: &str) {
    if name != FRONT {
        markdown::tagged(roff, "`~/.iapeer`", "All state, as plain files: see **iapeer**(1).");
        return;
    }
    let blocks = markdown::blocks(STATE_FILES);
    let tree = blocks.iter().find_map(|block| match block {
        Block::Verbatim(lines) => Some(lines.as_slice()),
        _ => None,
    });
    for line in tree.unwrap_or_default() {
        let (path, doc) = line.split_once("  ").unwrap_or((line, ""));
        markdown::tagged(roff, &format!("`{}`", path.trim()), doc.trim());
    }
}

fn see_also(roff: &mut Roff, name: &str) {
    let others = PROGRAMS.iter().map(|program| program.name).filter(|other| *other != name);
    let pages: Vec<String> = others.map(|other| format!("**{other}**(1)")).chain(["**tmux**(1)".to_owned()]).collect();
    roff.text(markdown::inlines(&pages.join(", ")));
}
