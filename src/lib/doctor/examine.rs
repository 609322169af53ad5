//! One examination: runs all checks, one after the other, and counts the findings.

use super::finding::{Finding, MendOutcome};
use super::{
    attention, contents, files, fleet, hosts, machine, named, profiles, programs, registry, runtimes, telegram, verbs,
    versions,
};
use crate::base::exit::{Exit, Failure};
use crate::roster::rebuild;
use crate::store::conformance::Severity;
use crate::store::registry::Registry;
use crate::world::World;
use serde::Serialize;

/// The result of an examination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DoctorSummary {
    /// The number of errors.
    pub errors: usize,
    /// The number of warnings.
    pub warnings: usize,
    /// The number of findings that were mended.
    pub mended: usize,
}

impl DoctorSummary {
    /// The line for people.
    pub(crate) fn line(&self) -> String {
        if *self == DoctorSummary::default() {
            return "everything is in order".to_owned();
        }
        format!("{} error(s) · {} warning(s) · {} mended", self.errors, self.warnings, self.mended)
    }
}

/// Runs all checks, with `fix` carries out the mends, and reports each finding by `tell`. Returns the worst exit code of
/// the errors that are not mended; warnings have none.
pub(crate) fn examine<'a>(
    world: &'a World<'a>,
    fix: bool,
    mut tell: impl FnMut(&Finding<'a>),
) -> Result<(DoctorSummary, Exit), Failure> {
    if fix {
        world.paths.refuse_the_real_one()?;
    }
    let (mut summary, mut exit) = (DoctorSummary::default(), Exit::Ok);
    let mut take = |findings: Vec<Finding<'a>>| {
        let mut stand = Vec::new();
        for mut finding in findings {
            if let Some(mend) = finding.mend.take().filter(|_| fix) {
                finding.mended = Some(match mend() {
                    Ok(()) => MendOutcome::Done,
                    Err(why) => MendOutcome::Failed(why.to_string()),
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
    take(programs::programs());
    if shut.contains(&"root") {
        // State that other users can change proves nothing: it is examined when the root is the user's own again.
        return Ok((summary, exit));
    }
    take(files::disks(world));
    take(files::logs(world));
    take(files::modes(world));
    take(files::unfit(world));
    take(contents::contents(world));
    take(files::set_aside(world));
    take(files::litter(world));
    take(verbs::cut_short(world));
    // The names of the interrupted verbs that are left.
    let half_done = verbs::names(world);
    let registry = match Registry::read(world.paths) {
        Ok(registry) => registry,
        Err(error) => {
            take(registry::unusable(world, error));
            match Registry::read(world.paths) {
                Ok(restored) => restored,
                Err(_) => return Ok((summary, exit)),
            }
        }
    };
    let unregistered = rebuild::unregistered(world, &registry);
    // The files of a peer that is to be registered again are no leftovers.
    let apart = half_done.iter().chain(unregistered.iter().map(|record| &record.personality)).cloned().collect();
    take(registry::unregistered(world, unregistered));
    let registry = Registry::read(world.paths).unwrap_or(registry);
    take(profiles::profiles(world, &registry, &half_done));
    take(runtimes::runtimes(world, &registry));
    take(versions::versions(world, &registry));
    take(machine::service(world, &registry));
    take(fleet::queues(world, &registry, &half_done));
    take(fleet::sessions(world, &registry));
    take(attention::attention(world));
    take(named::named(world, &registry));
    take(telegram::telegram(world));
    take(hosts::hosts(world));
    take(fleet::leftovers(world, &registry, &apart));
    Ok((summary, exit))
}
