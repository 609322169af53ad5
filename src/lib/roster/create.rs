//! Creating peers: a profile in a folder, a record in the registry, and the doctrine or the unit that a new peer needs.

use crate::base::exit::{Exit, Failure};
use crate::base::fleet_paths::role_path;
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::base::normalize;
use crate::base::paths;
use crate::people::owner;
use crate::roster::journal::{Creation, Journal, RosterAct, Terms};
use crate::runtime::manifest::ManifestError;
use crate::runtime::{Kind, Manifest};
use crate::session::launch;
use crate::store::durable;
use crate::store::one_writer::OneWriter;
use crate::store::profile::Profile;
use crate::store::profile_update::ProfileUpdate;
use crate::store::registry::{MAX_DESCRIPTION, PeerRecord, Registry, refuse_other_folder};
use crate::units::install::{self, UnitStep};
use crate::world::World;
use crate::world::peer::refuse_another;
use serde::Serialize;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The peer to create.
#[derive(Debug, Clone, Default)]
pub struct Birth {
    /// The name as somebody typed it. [`init`] takes the profile's or the folder's instead.
    pub name: Option<String>,
    /// Its runtime.
    pub runtime: Option<Runtime>,
    /// Its folder; by default `<root>/peers/<name>`.
    pub path: Option<PathBuf>,
    /// What it is for.
    pub description: Option<String>,
    /// Its nature.
    pub intelligence: Option<Intelligence>,
    /// Whether the peer is a stateless worker.
    pub ephemeral: bool,
    /// What a fleet file says about it.
    pub terms: Option<Terms>,
}

/// The peer that was created or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Born {
    /// Its name.
    pub personality: Personality,
    /// Its identity on its default runtime.
    pub identity: Identity,
    /// Its default runtime.
    pub runtime: Runtime,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Whether the peer was there already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub existed: bool,
    /// The fields that this changed, of a peer that was there already.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<&'static str>,
    /// Whether the peer has become the owner of this host.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub owner: bool,
    /// What became of the peer's unit, where the peer is always on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitStep>,
}

/// Creates a peer in `<root>/peers/<name>`, or in the path that `birth` names.
pub fn create(world: &World<'_>, birth: &Birth) -> Result<Born, Failure> {
    let typed = birth.name.as_deref().unwrap_or_default();
    let name = personality(typed)?;
    let cwd = match &birth.path {
        Some(path) => std::path::absolute(path).map_err(|error| Failure::io("find", path, &error))?,
        None => world.paths.peer_dir(&name),
    };
    refuse_name_of_folder(&name, &cwd)?;
    provision(world, &name, &cwd, birth)
}

fn refuse_name_of_folder(name: &Personality, cwd: &Path) -> Result<(), Failure> {
    // A path that ends in `..` has no file name: its real path has one, unless it is `/`.
    let named = if cwd.file_name().is_some() { cwd.to_owned() } else { paths::real(cwd) };
    let folder = named.file_name().map(|folder| normalize::normalize(&folder.to_string_lossy())).unwrap_or_default();
    if folder == name.as_str() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Usage,
        format!(
            "personality ↔ folder is 1:1: {} would be peer {folder:?}, not {:?}; name the folder or the peer alike",
            cwd.display(),
            name.as_str()
        ),
    ))
}

/// Creates the peer `name` in the folder `cwd`, or changes it, as a fleet file says.
pub(crate) fn shape(world: &World<'_>, name: &Personality, cwd: &Path, birth: &Birth) -> Result<Born, Failure> {
    provision(world, name, cwd, birth)
}

/// Refuses what [`shape`] would refuse, and changes nothing. Returns the manifest of the runtime that the peer gets.
pub(crate) fn check(world: &World<'_>, name: &Personality, cwd: &Path, birth: &Birth) -> Result<Manifest, Failure> {
    refuse_reserved(name)?;
    refuse_encoding(cwd)?;
    let registry = Registry::read(world.paths)?;
    let known = registry.get(name);
    match known {
        Some(known) => refuse_other_folder(known, cwd)?,
        None => refuse_name_of_folder(name, cwd)?,
    }
    refuse(world, known, name, cwd, birth).map(|founded| founded.manifest)
}

/// Makes the folder `dir` a peer, with the name in its profile or, without a profile, the folder's name.
pub fn init(world: &World<'_>, dir: &Path, birth: &Birth) -> Result<Born, Failure> {
    let cwd = std::fs::canonicalize(dir).map_err(|error| Failure::io("find", dir, &error))?;
    let folder = cwd.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match Profile::read(&cwd)? {
        Some(profile) => profile.personality().clone(),
        None => personality(&folder)?,
    };
    refuse_another(&name)?;
    provision(world, &name, &cwd, birth)
}

fn personality(typed: &str) -> Result<Personality, Failure> {
    normalize::personality_from(typed).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("{typed:?} gives no peer name (a letter a-z first, then up to 31 of a-z, 0-9, -): choose one, or write .iapeer/peer-profile.json yourself"),
        )
    })
}

fn provision(world: &World<'_>, name: &Personality, cwd: &Path, birth: &Birth) -> Result<Born, Failure> {
    refuse_reserved(name)?;
    refuse_encoding(cwd)?;
    let journal = Journal::open(world, &[name])?;
    let begun = RefCell::new(None);
    let begin = |runtime: &Runtime| {
        let Birth { description, intelligence, ephemeral, terms, .. } = birth.clone();
        let (name, cwd, runtime) = (name.clone(), cwd.to_owned(), runtime.clone());
        let act = RosterAct::Create(Creation { name, cwd, runtime, description, intelligence, ephemeral, terms });
        journal.begin(&act)?;
        *begun.borrow_mut() = Some(act);
        Ok(())
    };
    let made = carry_out(world, name, cwd, birth, begin);
    match begun.into_inner() {
        // Before the intent a failure leaves nothing; after the intent, completed steps are not undone.
        None => made,
        Some(act) => {
            let born = made.map_err(|failure| act.unfinished(&failure))?;
            journal.done(&act);
            Ok(born)
        }
    }
}

fn refuse_encoding(cwd: &Path) -> Result<(), Failure> {
    if paths::real(cwd).to_str().is_some() {
        return Ok(());
    }
    let why = format!("{} is not UTF-8, and the registry is: choose another folder", cwd.display());
    Err(Failure::new(Exit::DataErr, why))
}

/// Completes an interrupted create or change.
pub(crate) fn finish(world: &World<'_>, journal: &Journal<'_>, creation: &Creation) -> Result<(), Failure> {
    let Creation { name, cwd, runtime, description, intelligence, ephemeral, terms } = creation.clone();
    let birth = Birth { name: None, runtime: Some(runtime), path: None, description, intelligence, ephemeral, terms };
    match carry_out(world, &name, &cwd, &birth, |_| Ok(())) {
        // The folder or the name now belongs to another peer: this peer is not made.
        Err(failure) if [Exit::Refused, Exit::Usage].contains(&failure.exit) => {
            tracing::warn!("{name} was not made: {failure}");
        }
        made => drop(made?),
    }
    journal.done(&RosterAct::Create(creation.clone()));
    Ok(())
}

/// The steps. Each may be repeated. `begin` is called with the runtime, after every check that may refuse the peer.
fn carry_out(
    world: &World<'_>,
    name: &Personality,
    cwd: &Path,
    birth: &Birth,
    begin: impl FnOnce(&Runtime) -> Result<(), Failure>,
) -> Result<Born, Failure> {
    let (identity, cwd, kind, changed) =
        Registry::upsert(world.paths, name, cwd, world.program, world.clock, |writer, known| {
            let (profile, manifest) = furnish(world, writer, known, name, cwd, birth, begin)?;
            let cwd = std::fs::canonicalize(cwd).map_err(|error| Failure::io("find", cwd, &error))?;
            let identity = Identity::new(manifest.runtime.clone(), name.clone());
            let record = PeerRecord::from_profile(&profile, &cwd);
            let changed = known.map(|known| changes(known, &record));
            Ok((record, (identity, cwd, manifest.kind, changed)))
        })?;
    let unit = install::is_always_on(world, kind).then(|| install::hold(world, &identity)).transpose()?;
    let owner = kind == Kind::Mailbox && owner::claim(world.paths, name)?;
    let existed = changed.is_some();
    let (runtime, changed) = (identity.runtime().clone(), changed.unwrap_or_default());
    Ok(Born { personality: name.clone(), runtime, identity, cwd, existed, changed, owner, unit })
}

/// The fields of `known` that differ once `record` has been merged into it.
fn changes(known: &PeerRecord, record: &PeerRecord) -> Vec<&'static str> {
    let mut after = known.clone();
    after.merge(record.clone());
    let mut changed = known.drift(&after);
    if paths::real(&known.cwd) != paths::real(&after.cwd) {
        changed.push("cwd");
    }
    if known.policy().ephemeral() != after.policy().ephemeral() {
        changed.push("wake_policy");
    }
    changed
}

/// What a peer is made from, after every check.
struct Founded {
    existing: Option<Profile>,
    manifest: Manifest,
    intelligence: Intelligence,
}

/// All checks that may refuse a peer.
fn refuse(
    world: &World<'_>,
    known: Option<&PeerRecord>,
    name: &Personality,
    cwd: &Path,
    birth: &Birth,
) -> Result<Founded, Failure> {
    // A missing profile is restored, as far as the registry has its content.
    let existing = Profile::read(cwd)?.or_else(|| known?.to_profile());
    if let Some(profile) = existing.as_ref().filter(|profile| profile.personality() != name) {
        return Err(Failure::new(
            Exit::Refused,
            format!("refusing to create peer {name}: {} already holds peer {}", cwd.display(), profile.personality()),
        ));
    }
    let runtime = match (&birth.runtime, &existing) {
        (Some(runtime), _) => runtime.clone(),
        (None, Some(profile)) => profile.default_runtime().clone(),
        (None, None) => choose_runtime(world, cwd)?,
    };
    let manifest = Manifest::load(world.paths, &runtime)?;
    let was = existing.as_ref().map(Profile::intelligence);
    let intelligence = birth.intelligence.or(was).unwrap_or_else(|| match manifest.intelligence.first() {
        Some(first) => *first,
        None => Intelligence::default_for(&runtime),
    });
    fits(world, name, &manifest, intelligence)?;
    // A peer that changes its nature changes it on all its runtimes.
    for other in existing.iter().filter(|_| was != Some(intelligence)).flat_map(Profile::runtimes) {
        fits(world, name, &Manifest::load(world.paths, other)?, intelligence)?;
    }
    if install::is_always_on(world, manifest.kind) {
        install::refuse_foreign(world, &Identity::new(runtime.clone(), name.clone()))?;
    }
    Ok(Founded { existing, manifest, intelligence })
}

/// Makes the folder with its profile and doctrine. Every check that may refuse the peer comes first.
fn furnish(
    world: &World<'_>,
    writer: &OneWriter,
    known: Option<&PeerRecord>,
    name: &Personality,
    cwd: &Path,
    birth: &Birth,
    begin: impl FnOnce(&Runtime) -> Result<(), Failure>,
) -> Result<(Profile, Manifest), Failure> {
    let Founded { existing, manifest, intelligence } = refuse(world, known, name, cwd, birth)?;
    let was = existing.as_ref().map(Profile::intelligence);
    let runtime = manifest.runtime.clone();
    begin(&runtime)?;
    paths::create_dirs(cwd)?;
    paths::create_dirs(&cwd.join(".iapeer"))?;
    let update = ProfileUpdate {
        personality: name.clone(),
        default_runtime: runtime,
        description: birth.description.clone(),
        intelligence: was.is_none().then_some(intelligence).or(birth.intelligence),
        ephemeral: birth.ephemeral.then_some(true),
        keys: birth.terms.as_ref().map(|terms| terms.keys.clone()).unwrap_or_default(),
    };
    let profile = Profile::write(writer, cwd, existing.as_ref(), &update)?;
    if profile.description().chars().count() > MAX_DESCRIPTION {
        tracing::warn!(
            "{name}: description exceeded {MAX_DESCRIPTION} chars and was truncated; its profile keeps all of it"
        );
    }
    doctrine(cwd, name, &manifest)?;
    if let Some(terms) = &birth.terms {
        put_role(cwd, terms.role.as_deref())?;
    }
    // A missing program is only reported, since it may be installed later. The program of an always-on peer is searched
    // for when its unit starts.
    if let Some(error) = find_program(world, &manifest).err().filter(|_| manifest.kind == Kind::Tui) {
        tracing::warn!("{name} can't be woken on {} yet: {error}", manifest.runtime);
    }
    Ok((profile, manifest))
}

/// Refuses (64) the name from which notices come.
pub(crate) fn refuse_reserved(name: &Personality) -> Result<(), Failure> {
    if !name.is_reserved() {
        return Ok(());
    }
    let why = format!("{:?} is a reserved name, iapeer's own notices come from it: choose another name", name.as_str());
    Err(Failure::new(Exit::Usage, why))
}

/// Refuses a nature that the runtime is not for (64), and a name whose socket path would be too long (78).
pub(crate) fn fits(
    world: &World<'_>,
    name: &Personality,
    manifest: &Manifest,
    intelligence: Intelligence,
) -> Result<(), Failure> {
    let runtime = &manifest.runtime;
    if !manifest.allows(intelligence) {
        let why = format!(
            "a peer on runtime {runtime} can't be of intelligence {intelligence}: choose another runtime, or change that"
        );
        return Err(Failure::new(Exit::Usage, why));
    }
    world.paths.check_socket(&Identity::new(runtime.clone(), name.clone()))
}

/// The runtime of a folder that names none: by the folder's marks (`.claude`, `.codex`), else the first of claude and
/// codex that is installed, else parrot.
pub(crate) fn choose_runtime(world: &World<'_>, cwd: &Path) -> Result<Runtime, Failure> {
    let installed = |name: &str| {
        let manifest = name.parse().ok().and_then(|runtime: Runtime| Manifest::load(world.paths, &runtime).ok());
        manifest.is_some_and(|manifest| find_program(world, &manifest).is_ok())
    };
    let pick = match (cwd.join(".claude").exists(), cwd.join(".codex").exists()) {
        (true, _) => "claude",
        (false, true) => "codex",
        (false, false) if installed("claude") => "claude",
        (false, false) if installed("codex") => "codex",
        (false, false) => "parrot",
    };
    pick.parse().map_err(|error| Failure::new(Exit::Internal, format!("{error}")))
}

fn find_program(world: &World<'_>, manifest: &Manifest) -> Result<PathBuf, ManifestError> {
    let environment = launch::allowed(launch::environment());
    let path = environment.get("PATH").map(std::ffi::OsStr::new);
    let look = |candidate: &str| crate::host::spawn::find_program(candidate, path);
    manifest.find_program(world.paths, launch::bin_dir(), |name| environment.get(name).cloned(), look)
}

/// Writes the peer's role, a document of its system prompt, or removes it.
fn put_role(cwd: &Path, role: Option<&str>) -> Result<(), Failure> {
    let path = role_path(cwd);
    match role {
        Some(text) => durable::write_atomic(&path, text.as_bytes())?,
        None => drop(durable::remove(&path)?),
    }
    Ok(())
}

/// Writes the peer's own doctrine, where there is none: a session gets a system prompt only where this file exists.
fn doctrine(cwd: &Path, name: &Personality, manifest: &Manifest) -> Result<(), Failure> {
    let path = cwd.join(".iapeer/IAPEER.md");
    if manifest.kind != Kind::Tui || path.exists() {
        return Ok(());
    }
    let text = format!(
        "# {name}\n\nYou are the peer `{name}`. Other peers write to you; each message is an `<iap …>` envelope that names its sender.\n\
         Answer with `iapeer-send NAME --re ID --message-file -` (text on stdin; ID is that of the message you answer){}.\n",
        if manifest.mcp { ", or with the tool `send_to_peer` and its `re`" } else { "" }
    );
    // A file that somebody has written meanwhile stays.
    durable::publish(&path, text.as_bytes())?;
    Ok(())
}
