//! Where an agent program is, as a manifest says.

use serde::Deserialize;

/// Where a program is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// An environment variable that names it.
    pub variable: String,
    /// Paths or names to try in order; `{home}` and `{bin_dir}` are filled in.
    pub candidates: Vec<String>,
    /// Where the program behind a wrapper script is, from the folder the found file really stands in; a part of a
    /// name may be `*`. The first that exists is started in the wrapper's place: ending a wrapper is not ending it.
    #[serde(default)]
    pub native: Vec<String>,
    /// How to install it.
    pub hint: String,
}
