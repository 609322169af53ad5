//! The programs, each with its command line and its page under `docs/`.

use crate::cli::args;
use clap::{Command, CommandFactory};

/// One program.
#[derive(Debug, Clone, Copy)]
pub struct ManualProgram {
    /// Its name.
    pub name: &'static str,
    /// Its command line.
    pub command: fn() -> Command,
    /// Its page, in Markdown: `# NAME: purpose`, a synopsis in a fence, what it does, `Exit: …`.
    pub page: &'static str,
}

macro_rules! programs {
    ($($args:ident $page:literal,)*) => {
        /// All programs, `iapeer` first. A program in `src/bin/` that is missing here fails a test.
        pub const PROGRAMS: &[ManualProgram] = &[$(ManualProgram {
            name: $page,
            command: args::$args::command,
            page: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/", $page, ".md")),
        },)*];
    };
}

programs! {
    Front "iapeer",
    Send "iapeer-send",
    Drain "iapeer-drain",
    Superviser "iapeer-superviser",
    Reap "iapeer-reap",
    Canary "iapeer-canary",
    Wake "iapeer-wake",
    Run "iapeer-run",
    Telegram "iapeer-telegram",
    Relay "iapeer-relay",
    TurnArgs "iapeer-turn",
    Mcp "iapeer-mcp",
    Parrot "iapeer-parrot",
}

impl ManualProgram {
    /// The command line to complete; that of `iapeer` has the other programs as verbs.
    pub(crate) fn completed(&self) -> Command {
        let command = (self.command)();
        // Only `iapeer` runs other programs.
        if self.name != "iapeer" {
            return command;
        }
        PROGRAMS.iter().filter_map(ManualProgram::as_verb).fold(command, Command::subcommand)
    }

    /// `iapeer-send` as the verb `send`.
    fn as_verb(&self) -> Option<Command> {
        let verb = self.name.strip_prefix("iapeer-")?;
        Some((self.command)().name(verb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_program_is_here() {
        let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
        let built: BTreeSet<String> = std::fs::read_dir(pages)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let known: BTreeSet<String> = PROGRAMS.iter().map(|program| program.name.to_owned()).collect();
        assert_eq!(built, known);
        for program in PROGRAMS {
            assert_eq!((program.command)().get_name(), program.name);
            assert!(
                program.page.starts_with(&format!("# {}: ", program.name)),
                "the title of docs/{}.md",
                program.name
            );
        }
    }

    #[test]
    fn the_fronts_help_names_the_programs() {
        let help = args::Front::command().render_help().to_string();
        let (_, named) = help.split_once("(`iapeer send --help`):").unwrap();
        let named: Vec<&str> = named.trim_end_matches(['.', '\n']).split(',').map(str::trim).collect();
        let known: Vec<&str> = PROGRAMS.iter().filter_map(|program| program.name.strip_prefix("iapeer-")).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn the_front_completes_its_programs_as_verbs() {
        let front = PROGRAMS[0].completed();
        for verb in ["create", "send", "drain"] {
            assert!(front.find_subcommand(verb).is_some(), "{verb}");
        }
        front.debug_assert();
    }
}
