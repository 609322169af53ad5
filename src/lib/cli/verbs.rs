//! The verbs of `iapeer` for the registry, the logs and the units.

use crate::base::exit::{self, Exit, Failure};
use crate::base::harmless::harmless;
use crate::base::identity::{Personality, Runtime};
use crate::base::normalize;
use crate::base::output;
use crate::cli;
use crate::cli::args::{Colour, Planned};
use crate::cli::attention;
use crate::doctor;
use crate::host::service::Manager;
use crate::operator::table::Paint;
use crate::operator::{logs, status};
use crate::roster::runtimes::{self, Change};
use crate::roster::{rename, verify};
use crate::store::conformance::Severity;
use crate::store::registry::Registry;
use crate::units::{self, install};
use crate::world::World;
use crate::world::peer::{split_name, unknown_in, whole_peer};

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// `iapeer rename OLD NEW`.
pub fn rename(world: &World<'_>, old: &str, new: &str, force: bool, json: bool) -> Result<Exit, Failure> {
    let old = whole_peer(&Registry::read(world.paths)?, old)?;
    let new = normalize::personality_from(new)
        .map_err(|_| usage(format!("{new:?} gives no peer name (a letter a-z first, then up to 31 of a-z, 0-9, -)")))?;
    let renamed = rename::rename(world, &old, &new, force)?;
    cli::tell(json, &renamed, || {
        let folder = if renamed.moved { "folder moved" } else { "folder stays" };
        let mut said = format!("renamed {:?} to {:?}; {folder}: {}", old.as_str(), new.as_str(), renamed.cwd.display());
        for identity in &renamed.forgets {
            said.push_str(&format!(
                "\n{identity}: its conversation stays with the old folder, the next session is fresh"
            ));
        }
        said
    });
    Ok(Exit::Ok)
}

/// `iapeer verify`. The exit code is 78 where there are errors, or drift that was not mended.
pub fn verify(world: &World<'_>, fix: bool, json: bool) -> Result<Exit, Failure> {
    let report = verify::verify(world, fix)?;
    let done = &report.reconcile;
    let unmended = !done.left.is_empty() || (report.drift > 0 && !fix);
    let code = if report.errors > 0 || unmended { Exit::Config } else { Exit::Ok };
    if json {
        cli::tell(true, &report, String::new);
        return Ok(code);
    }
    for peer in &report.peers {
        let of = |severity| peer.issues.iter().filter(move |issue| issue.severity == severity);
        let errors: Vec<String> =
            of(Severity::Error).map(|issue| format!("{} — {}", issue.field, issue.message)).collect();
        let warnings: Vec<String> =
            of(Severity::Warn).map(|issue| format!("{} — {}", issue.field, issue.message)).collect();
        for (glyph, found) in [('✗', errors), ('⚠', warnings)] {
            if !found.is_empty() {
                cli::say(format!("{glyph} {}: {}", peer.personality, found.join("; ")));
            }
        }
        if !peer.drift.is_empty() {
            cli::say(format!("↯ {}: index↔local drift on {}", peer.personality, peer.drift.join(", ")));
        }
    }
    let names = |list: &[Personality]| list.iter().map(Personality::as_str).collect::<Vec<_>>().join(", ");
    if let Some(aside) = &report.aside {
        cli::say(format!("the registry could not be used and is kept as {}", aside.display()));
    }
    if !report.restored.is_empty() {
        cli::say(format!("restored to the registry: {}", names(&report.restored)));
    }
    if !done.rewritten.is_empty() {
        cli::say(format!("profiles written anew from the registry: {}", names(&done.rewritten)));
    }
    if !done.migrated.is_empty() {
        cli::say(format!("migrated runtime→default_runtime: {}", names(&done.migrated)));
    }
    if !done.healed.is_empty() {
        cli::say(format!("self-healed index from local profiles: {}", names(&done.healed)));
    }
    for left in &done.left {
        output::complain(&format!("iapeer: {} is left as it is: {}", left.personality, exit::one_line(&left.why)));
    }
    if !done.untouched.is_empty() {
        output::complain(&format!("iapeer: peers with no local profile (left untouched): {}", names(&done.untouched)));
    }
    cli::say(format!(
        "{} peers · {} error(s) · {} index↔local drift(s)",
        report.peers.len(),
        report.errors,
        report.drift
    ));
    Ok(code)
}

/// `iapeer add-runtime` and `iapeer default-runtime`.
pub fn runtimes(
    world: &World<'_>,
    change: Change,
    runtime: &Runtime,
    peer: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let name =
        peer.map(|text| split_name(&Registry::read(world.paths)?, text, None).map(|(name, _)| name)).transpose()?;
    let mut worst = Exit::Ok;
    for changed in runtimes::change(world, change, runtime, name.as_ref())? {
        cli::tell(json, &changed, || changed.line());
        worst = worst.max(changed.exit);
    }
    Ok(worst)
}

/// `iapeer status`.
pub fn status(world: &World<'_>, json: bool) -> Result<Exit, Failure> {
    let seen = status::overview(world)?;
    cli::tell(json, &seen, || seen.lines().join("\n"));
    Ok(Exit::Ok)
}

/// `iapeer doctor`.
pub fn doctor(world: &World<'_>, fix: bool, colour: Colour, json: bool) -> Result<Exit, Failure> {
    let paint = attention::paint(colour);
    let (summary, exit) = doctor::examine(world, fix, |finding| match (json, paint) {
        (false, Paint::Colour) => cli::say(coloured(&harmless(&finding.line()))),
        _ => cli::tell(json, finding, || finding.line()),
    })?;
    cli::tell(json, &serde_json::json!({ "doctor": summary }), || summary.line());
    Ok(exit)
}

/// A finding's line with its mark in the color of its severity.
fn coloured(line: &str) -> String {
    let rest = |mark: char| line.strip_prefix(mark);
    let painted = |colour: &str, mark, rest| format!("\x1b[{colour}m{mark}\x1b[0m{rest}");
    match (rest('✗'), rest('⚠'), rest('✓')) {
        (Some(rest), _, _) => painted("1;31", '✗', rest),
        (_, Some(rest), _) => painted("33", '⚠', rest),
        (_, _, Some(rest)) => painted("32", '✓', rest),
        _ => line.to_owned(),
    }
}

/// `iapeer logs`.
pub fn logs(
    world: &World<'_>,
    peer: Option<&str>,
    since: Option<&str>,
    follow: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let peer = peer.map(|text| logged(world, text)).transpose()?;
    let since = since.map(|text| logs::since(text, world.now())).transpose()?;
    let wanted = logs::Wanted { peer, since };
    logs::read(world, &wanted, follow, |line| cli::tell(json, &line.json(), || line.text.clone()))?;
    Ok(Exit::Ok)
}

/// The peer that `text` names: a registered one, or one that the logs mention.
pub(crate) fn logged(world: &World<'_>, text: &str) -> Result<Personality, Failure> {
    let registry = Registry::read(world.paths)?;
    let (name, _) = split_name(&registry, text, None)?;
    if registry.get(&name).is_none() && !logs::mention(world, &name)? {
        return Err(unknown_in(&registry, &name));
    }
    Ok(name)
}

/// `iapeer units install` and `uninstall`.
pub(crate) fn units(
    world: &World<'_>,
    act: impl Fn(&World<'_>, bool, &mut dyn FnMut(&install::UnitStep)) -> Result<Exit, Failure>,
    how: &Planned,
) -> Result<Exit, Failure> {
    let exit = act(world, how.dry_run, &mut |step| cli::tell(how.json, step, || step.line()))?;
    if let Some(why) = units::status::lingering_off(Manager::here()).filter(|_| !how.json) {
        cli::say(why);
    }
    Ok(exit)
}

/// `iapeer units status`.
pub(crate) fn units_status(world: &World<'_>, json: bool) -> Result<Exit, Failure> {
    let seen = units::status::status(world)?;
    for unit in &seen.units {
        cli::tell(json, unit, || unit.line());
    }
    for want in &seen.wants {
        if json {
            output::complain(&format!("iapeer: {want}"));
        } else {
            cli::say(want);
        }
    }
    Ok(Exit::Ok)
}
