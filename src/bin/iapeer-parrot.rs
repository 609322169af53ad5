//! iapeer-parrot: a small, honest agent in a terminal that answers by repeating.
//!
//! Promise: it behaves as the big agent programs do towards whoever starts it, types into it, and watches it; every
//! submitted message is kept exactly; nothing it is told is ever executed.
//!
//! - take the terminal (raw mode, bracketed paste), show a composer, wait for keys, signals and finished work
//! - a submitted message is a turn; one that comes during a turn waits for its end
//! - hooks and replies run beside the screen, in their order
//! - give the terminal back
//!
//! Exit codes: 0 left by the person or end of input · 1 nothing to resume, folder not trusted, unreadable system
//! prompt · 64 usage or no terminal · 74 terminal or file failed · 78 a malformed variable · 128+n ended by signal n.

use clap::{CommandFactory, FromArgMatches};
use iapeer::cli::{self, args::Parrot};
use iapeer::parrot::{self, Options, ResumeRequest, VARIABLES};
use std::process::ExitCode;

fn main() -> ExitCode {
    let variables: String = VARIABLES.iter().map(|(name, what)| format!("  {name:<18} {what}\n")).collect();
    let command = Parrot::command().after_help(format!("Environment:\n{variables}"));
    let args = match command.try_get_matches().and_then(|matches| Parrot::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(error) => return cli::usage("iapeer-parrot", &error),
    };
    let resume = args.resume.map(|id| id.map_or(ResumeRequest::Newest, ResumeRequest::Id));
    let options = Options { resume, system_prompt: args.system_prompt_file, hook: args.hook };
    let ran = if args.login { parrot::log_in().map(|()| None) } else { parrot::run(options).map(Some) };
    match ran {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(ending)) => {
            ending.words.iter().for_each(|words| parrot::last_words(words));
            ExitCode::from(ending.code)
        }
        Err(error) => {
            let failure = iapeer::base::exit::one_line(&error.to_string());
            parrot::last_words(&format!("iapeer-parrot: {failure}"));
            ExitCode::from(error.code())
        }
    }
}
