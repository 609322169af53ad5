//! iapeer: the command that operators use.
//!
//! `iapeer VERB` carries out a verb of its own, or runs the program `iapeer-VERB` beside it or on PATH, as git does.
//! `iapeer RUNTIME` launches the current folder's peer on that runtime, always fresh.
//!
//! Exit: the codes of sysexits(3), as for every program here; a verb over `--all` exits with the worst code of its lines.

use iapeer::cli::front;
use std::process::ExitCode;

fn main() -> ExitCode {
    front::main()
}
