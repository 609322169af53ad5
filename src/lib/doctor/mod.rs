//! `iapeer doctor`: what is not as it should be on this host, why that matters, and what to do about it.
//!
//! Every check looks for itself and reports findings; none stops the others. A finding may carry a mend: something that
//! loses nothing and that a tick, or its owner, would do as well. With `fix` the mends are carried out.

#![forbid(unsafe_code)]

mod files;
mod fleet;
mod machine;
pub mod probe;
mod profiles;
mod runtimes;

use crate::base::exit::{Exit, Failure};
use crate::store::conformance::Severity;
use crate::store::registry::Registry;
use crate::world::World;
use serde::Serialize;

/// What `--fix` came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mended {
    /// It is mended.
    Done,
    /// It could not be: why.
    Failed(String),
}

/// One thing that is not as it should be.
#[derive(Serialize)]
pub struct Finding<'a> {
    /// Which check: `root`, `files`, `tmux`, `runtime`, `units`, `tick`, `queue`, `session`, `state`, `profile`.
    pub check: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it is about: a path, an identity, a program.
    pub about: String,
    /// What, and why it matters.
    pub what: String,
    /// What to do.
    pub todo: String,
    /// What `--fix` came to; absent where there was nothing for it to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended: Option<Mended>,
    /// The exit code it asks for while it stands.
    #[serde(skip)]
    pub exit: Exit,
    #[serde(skip)]
    mend: Option<Mend<'a>>,
}

type Mend<'a> = Box<dyn FnOnce() -> Result<(), String> + 'a>;

impl<'a> Finding<'a> {
    fn error(check: &'static str, exit: Exit, about: impl ToString, what: impl Into<String>) -> Self {
        let (about, what) = (about.to_string(), what.into());
        Finding { check, severity: Severity::Error, about, what, todo: String::new(), mended: None, exit, mend: None }
    }

    fn warn(check: &'static str, about: impl ToString, what: impl Into<String>) -> Self {
        Finding { severity: Severity::Warn, ..Finding::error(check, Exit::Ok, about, what) }
    }

    fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = todo.into();
        self
    }

    fn mend(mut self, mend: impl FnOnce() -> Result<(), String> + 'a) -> Self {
        self.mend = Some(Box::new(mend));
        self
    }

    /// Whether it still stands.
    pub fn stands(&self) -> bool {
        self.mended != Some(Mended::Done)
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let glyph = match (&self.mended, self.severity) {
            (Some(Mended::Done), _) => '✓',
            (_, Severity::Error) => '✗',
            (_, Severity::Warn) => '⚠',
        };
        let mut line = format!("{glyph} {}: {}", self.about, self.what);
        match &self.mended {
            Some(Mended::Done) => line += " — mended",
            Some(Mended::Failed(why)) => line += &format!(" — not mended ({why}): {}", self.todo),
            None if !self.todo.is_empty() => line += &format!(" — {}", self.todo),
            None => {}
        }
        crate::base::exit::one_line(&line)
    }
}

/// What the whole came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Things that do not work.
    pub errors: usize,
    /// Things to know.
    pub warnings: usize,
    /// Things that were mended.
    pub mended: usize,
}

impl Summary {
    /// The line for people.
    pub fn line(&self) -> String {
        if *self == Summary::default() {
            return "everything is in order".to_owned();
        }
        format!("{} error(s) · {} warning(s) · {} mended", self.errors, self.warnings, self.mended)
    }
}

/// Looks at everything, with `fix` mends what is safe, and tells each finding. The code is that of the worst error
/// that stands; warnings have none.
pub fn examine<'a>(
    world: &'a World<'a>,
    fix: bool,
    mut tell: impl FnMut(&Finding<'a>),
) -> Result<(Summary, Exit), Failure> {
    if fix {
        world.paths.refuse_the_real_one()?;
    }
    let (mut summary, mut exit) = (Summary::default(), Exit::Ok);
    let mut take = |findings: Vec<Finding<'a>>| {
        let mut stand = Vec::new();
        for mut finding in findings {
            if let Some(mend) = finding.mend.take().filter(|_| fix) {
                finding.mended = Some(match mend() {
                    Ok(()) => Mended::Done,
                    Err(why) => Mended::Failed(why),
                });
            }
            match (finding.stands(), finding.severity) {
                (false, _) => summary.mended += 1,
                (true, Severity::Error) => summary.errors += 1,
                (true, Severity::Warn) => summary.warnings += 1,
            }
            if finding.stands() {
                exit = exit.max(finding.exit);
                stand.push(finding.check);
            }
            tell(&finding);
        }
        stand
    };
    let shut = take(files::root(world));
    take(machine::tmux(world));
    if shut.contains(&"root") {
        // What others can change proves nothing: the rest is looked at when the root is one's own again.
        return Ok((summary, exit));
    }
    take(files::modes(world));
    take(files::set_aside(world));
    take(files::litter(world));
    let registry = match Registry::read(world.paths) {
        Ok(registry) => registry,
        Err(error) => {
            let failure = Failure::from(error);
            let corrupt = Finding::error("profile", failure.exit, "registry", failure.message);
            take(vec![corrupt.todo("`iapeer init` in each peer's folder fills a new one")]);
            return Ok((summary, exit));
        }
    };
    take(profiles::profiles(world, &registry));
    take(runtimes::runtimes(world, &registry));
    take(machine::service(world, &registry));
    take(fleet::queues(world, &registry));
    take(fleet::sessions(world, &registry));
    take(fleet::leftovers(world, &registry));
    Ok((summary, exit))
}
