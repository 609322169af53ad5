//! Where an agent program is, as a manifest says.

use serde::Deserialize;

/// Where a program is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The environment variable that names the program.
    pub variable: String,
    /// Paths or names to try in order; `{home}` and `{bin_dir}` are filled in.
    pub candidates: Vec<String>,
    /// Paths of the program behind a wrapper script, relative to the folder in which the wrapper really is (links
    /// resolved); each part of a path may have one `*`. The first that exists is started instead of the wrapper, since
    /// ending a wrapper does not end the program behind it.
    #[serde(default)]
    pub native: Vec<String>,
    /// How to install it.
    pub hint: String,
}
