//! The verbs of `iapeer` for a fleet in one file.

use crate::base::exit::{Exit, Failure};
use crate::base::output;
use crate::base::shell;
use crate::cli::fleet_args::FleetVerb;
use crate::cli::{self, Access};
use crate::fleet::apply::{self, FleetTold};
use crate::fleet::file::{DEFAULT_FILE, Fleet};
use crate::fleet::plan::{FleetPlan, plan};
use crate::fleet::step::FleetStep;
use crate::fleet::{ask, down, export};
use crate::world::World;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// What a verb may do to the root.
pub(crate) fn access(verb: &FleetVerb) -> Access {
    match verb {
        FleetVerb::Up { dry_run: false, .. } | FleetVerb::Down { .. } => Access::Write,
        _ => Access::ReadOnly,
    }
}

/// Runs one of the verbs.
pub(crate) fn run(world: &World<'_>, verb: FleetVerb) -> Result<Exit, Failure> {
    let file = |given: Option<PathBuf>| given.unwrap_or_else(|| DEFAULT_FILE.into());
    match verb {
        FleetVerb::Up { file: given, dry_run: true, prune, json, take_over: _ } => {
            let plan = plan(world, &Fleet::read(world, &file(given))?, prune)?;
            show(&plan, json, |_| true);
            if !json {
                cli::say(if plan.changes() { "dry run: nothing was changed" } else { "nothing to do" });
            }
            Ok(Exit::Ok)
        }
        FleetVerb::Up { file: given, dry_run: false, prune, take_over, json } => {
            let file = file(given);
            let consent = |plan: &FleetPlan| if take_over { Ok(()) } else { consent(plan, &file) };
            up(world, &file, prune, json, consent)
        }
        FleetVerb::Down { file: given, json } => {
            let mut any = false;
            let exit = down::down(world, &Fleet::read(world, &file(given))?, |step| {
                any = true;
                cli::tell(json, step, || step.line());
            })?;
            if !any && !json {
                cli::say("nothing to do");
            }
            Ok(exit)
        }
        FleetVerb::Diff { file: given, json } => {
            let plan = plan(world, &Fleet::read(world, &file(given))?, false)?;
            show(&plan, json, |step| step.changes() || step.note.is_some());
            if !plan.changes() && !json {
                cli::say("nothing differs");
            }
            Ok(if plan.changes() { Exit::Found } else { Exit::Ok })
        }
        FleetVerb::Export { json } => {
            let text = export::export(world)?;
            if json {
                let tables: serde_json::Value = toml::from_str(&text).map_err(|error| {
                    Failure::new(Exit::Internal, format!("the exported file can't be read: {error}"))
                })?;
                cli::tell(true, &tables, String::new);
            } else {
                cli::say(text.trim_end());
            }
            Ok(Exit::Ok)
        }
        FleetVerb::NewFleet { file: given, json } => {
            let path = file(given);
            ask::new_fleet(world, &path, &mut io::stdin().lock(), |question| match json {
                true => output::complain(question),
                false => cli::say(question),
            })?;
            cli::tell(json, &json!({ "file": path }), || {
                format!("{} is written: look at it, then `iapeer up {}`", path.display(), shell::path(&path))
            });
            Ok(Exit::Ok)
        }
    }
}

fn show(plan: &FleetPlan, json: bool, wanted: impl Fn(&FleetStep) -> bool) {
    for step in plan.steps.iter().filter(|step| wanted(step)) {
        cli::tell(json, step, || step.line());
    }
}

/// Asks the person at the terminal whether peers and schedules of other fleets may be taken over. Refused without a
/// terminal.
fn consent(plan: &FleetPlan, file: &Path) -> Result<(), Failure> {
    let mut fleets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in plan.takeovers() {
        fleets.entry(step.takes_from.as_deref().unwrap_or_default()).or_default().push(&step.name);
    }
    let each = fleets.iter().map(|(fleet, names)| format!("the fleet {fleet} manages {}", names.join(", ")));
    let what = each.collect::<Vec<_>>().join(", ");
    let first = fleets.keys().next().copied().unwrap_or_default();
    let refused = |why: String| Err(Failure::new(Exit::Refused, format!("{why}; nothing was changed")));
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let take = format!("`iapeer up {} --take-over` takes over what this file names", shell::path(file));
        return refused(format!("{what}: {take}, or say name = {first:?} in [fleet] if it is that fleet's file"));
    }
    output::complain(&format!("{what}: take over what this file names? [y/N]"));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Failure::new(Exit::NoInput, format!("stdin: {error}")))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => refused("not taken over".to_owned()),
    }
}

fn up(
    world: &World<'_>,
    file: &Path,
    prune: bool,
    json: bool,
    consent: impl FnOnce(&FleetPlan) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let plan = apply::up(world, file, prune, consent, |told| match told {
        FleetTold::Planned(plan) if json => {
            for step in &plan.steps {
                cli::tell(true, &json!({ "planned": step }), String::new);
            }
        }
        FleetTold::Planned(plan) => show(plan, false, |_| true),
        FleetTold::Done(step) if json => cli::tell(true, &json!({ "done": step }), String::new),
        FleetTold::Done(_) => {}
    })?;
    let done = plan.steps.iter().filter(|step| step.changes()).count();
    cli::tell(json, &json!({ "up": { "done": done, "left": plan.steps.len() - done } }), || match done {
        0 => "nothing to do".to_owned(),
        1 => "done: 1 step".to_owned(),
        done => format!("done: {done} steps"),
    });
    Ok(Exit::Ok)
}
