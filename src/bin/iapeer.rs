//! iapeer: the operator's front.
//!
//! `iapeer VERB` runs `iapeer-VERB` where such a program stands beside it or on PATH, as git does; the small verbs
//! are its own; `iapeer RUNTIME` launches the current folder's peer on that runtime, always fresh.
//!
//! Exit: sysexits as every program here; a verb over `--all` ends with the worst of its lines' codes.

use iapeer::cli::front;
use std::process::ExitCode;

fn main() -> ExitCode {
    front::main()
}
