//! `iapeer new-fleet`: asks three questions and writes a fleet file from the answers.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Personality, Runtime};
use crate::base::normalize;
use crate::fleet::file::default_name;
use crate::host::about;
use crate::host::git::GitRepository;
use crate::people::owner;
use crate::roster::create;
use crate::runtime::Kind;
use crate::runtime::Manifest;
use crate::store::durable::{self, Published};
use crate::store::registry::Registry;
use crate::world::World;
use std::io::BufRead;
use std::path::Path;

/// What the file is made from.
struct FleetAnswers {
    owner: Personality,
    runtime: Runtime,
    agents: Vec<Personality>,
    /// The other fleet that manages the owner; the new file then leaves the owner out.
    owner_in: Option<String>,
    /// Whether each agent works in a worktree of the repository that the file is in.
    worktrees: bool,
}

/// Asks by `say`, reads the answers from `input` and writes the file, which must not exist yet. A blank answer accepts the
/// proposed one.
pub(crate) fn new_fleet(
    world: &World<'_>,
    path: &Path,
    input: &mut dyn BufRead,
    mut say: impl FnMut(&str),
) -> Result<(), Failure> {
    let taken = || Failure::new(Exit::CantCreate, format!("{} is there already: name another file", path.display()));
    if path.symlink_metadata().is_ok() {
        return Err(taken());
    }
    let dir = std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))?;
    let dir = dir.parent().unwrap_or(Path::new("/")).to_owned();
    let name = default_name(&dir.join(path.file_name().unwrap_or_default()));
    let answers = ask(world, &dir, &name, input, &mut say)?;
    // Never replaces a file that was written meanwhile. The new file has mode 0600.
    match durable::publish(path, text(&answers).as_bytes())? {
        Published::Done => Ok(()),
        Published::Taken => Err(taken()),
    }
}

fn ask(
    world: &World<'_>,
    dir: &Path,
    fleet: &str,
    input: &mut dyn BufRead,
    say: &mut dyn FnMut(&str),
) -> Result<FleetAnswers, Failure> {
    let mut answer = |question: &str, proposed: &str| -> Result<String, Failure> {
        say(&format!("{question} [{proposed}]"));
        let mut line = String::new();
        let read =
            input.read_line(&mut line).map_err(|error| Failure::new(Exit::NoInput, format!("stdin: {error}")))?;
        if read == 0 {
            return Err(Failure::new(Exit::NoInput, "the answers ended before the questions did: nothing is written"));
        }
        let line = line.trim();
        Ok(if line.is_empty() { proposed.to_owned() } else { line.to_owned() })
    };
    let me = match owner::owner(world.paths)? {
        Some(name) => name.to_string(),
        None => normalize::personality_from(&about::user()).map_or("me".to_owned(), |name| name.to_string()),
    };
    let owner = personality(&answer("1/3  Your name, as agents write to you", &me)?)?;
    let usual = create::choose_runtime(world, dir)?.to_string();
    let runtime = answer("2/3  Which agent program: claude, codex, parrot (repeats what you say), …", &usual)?;
    let runtime: Runtime = runtime.parse().map_err(|error| usage(format!("{error}")))?;
    if Manifest::load(world.paths, &runtime)?.kind != Kind::Tui {
        return Err(usage(format!("{runtime} is no agent program")));
    }
    let names = answer("3/3  The agents, by name", "writer reviewer")?;
    let names = names.split([' ', ',']).filter(|name| !name.is_empty());
    let mut agents: Vec<Personality> = names.map(personality).collect::<Result<_, Failure>>()?;
    agents.dedup();
    if agents.contains(&owner) {
        return Err(usage(format!("{owner} is your own name: choose another for the agent")));
    }
    let worktrees = GitRepository::of(dir).is_ok_and(|repository| repository.has_commit("HEAD"));
    let registry = Registry::read(world.paths)?;
    let managed = registry.get(&owner).and_then(|record| record.policy().fleet());
    let owner_in = managed.filter(|other| *other != fleet).map(str::to_owned);
    Ok(FleetAnswers { owner, runtime, agents, owner_in, worktrees })
}

fn usage(why: String) -> Failure {
    Failure::new(Exit::Usage, why)
}

fn personality(text: &str) -> Result<Personality, Failure> {
    let name = normalize::personality_from(text);
    let name =
        name.map_err(|_| usage(format!("{text:?} gives no name (a letter a-z first, then up to 31 of a-z, 0-9, -)")))?;
    create::refuse_reserved(&name).map(|()| name)
}

fn text(answers: &FleetAnswers) -> String {
    let FleetAnswers { owner, runtime, agents, owner_in, worktrees } = answers;
    let person = match owner_in {
        Some(other) => format!("# [peers.{owner}] is in the file of the fleet {other}.\n"),
        None => format!("[peers.{owner}]\nruntime = \"person\"\n"),
    };
    let mut text = format!(
        "# A fleet of iapeer. `iapeer up` makes the host as this file says, `iapeer diff` shows what differs.\n\
         # All keys: docs/fleet.md; for editors: share/iapeer/fleet.schema.json.\n\n\
         [fleet]\nowner = \"{owner}\"\n\n[fleet.defaults]\nruntime = \"{runtime}\"\n\n{person}"
    );
    for name in agents {
        text.push_str(&format!("\n[peers.{name}]\ndescription = \"what {name} is for, as the others read it\"\n"));
        text.push_str(&format!(
            "role = \"\"\"\nYou are {name}. Say here what you do, and when you write to whom.\n\"\"\"\n"
        ));
        if *worktrees {
            text.push_str(&format!("worktree = {{ repo = \".\", branch = \"{name}\" }}\n"));
        }
    }
    text
}
