//! The owner: the person whose name is in `<root>/owner`. The owner is the sender of messages that are sent from
//! outside any peer's folder.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality};
use crate::base::paths::Paths;
use crate::store::durable;
use crate::store::registry::Registry;
use crate::world::peer::unknown;

/// The owner's name, registered or not. `None`: there is no owner, or the file contains no valid name.
pub fn owner(paths: &Paths) -> Result<Option<Personality>, Failure> {
    let text = durable::read_optional(&paths.owner())?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).trim().parse().ok())
}

/// Makes `name` the owner. Refused if `name` is no registered person.
pub(crate) fn name_owner(paths: &Paths, registry: &Registry, name: &Personality) -> Result<(), Failure> {
    let record = registry.get(name).ok_or_else(|| unknown(name))?;
    if record.intelligence != Intelligence::Natural {
        let why = format!("{name} is no person (intelligence {}): an owner is one", record.intelligence);
        return Err(Failure::new(Exit::Refused, why));
    }
    write(paths, name)
}

/// Makes the person `name` the owner if there is none. Returns whether there was none.
pub(crate) fn claim(paths: &Paths, name: &Personality) -> Result<bool, Failure> {
    if owner(paths)?.is_some() {
        return Ok(false);
    }
    write(paths, name).map(|()| true)
}

/// The peer `old` was renamed to `new`: an owner stays the owner.
pub(crate) fn follow_rename(paths: &Paths, old: &Personality, new: &Personality) -> Result<(), Failure> {
    if owner(paths)?.as_ref() == Some(old) { write(paths, new) } else { Ok(()) }
}

/// The peer `name` was removed: if it was the owner, there is none now.
pub(crate) fn forget(paths: &Paths, name: &Personality) -> Result<(), Failure> {
    if owner(paths)?.as_ref() == Some(name) {
        durable::remove(&paths.owner())?;
    }
    Ok(())
}

fn write(paths: &Paths, name: &Personality) -> Result<(), Failure> {
    Ok(durable::write_atomic(&paths.owner(), format!("{name}\n").as_bytes())?)
}
