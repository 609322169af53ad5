//! Determining the sender of a message.

use crate::base::Paths;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::delivery::message::Message;
use crate::mailbox::armed::{self, Answer};
use crate::people::owner;
use crate::store::profile::Profile;
use crate::store::queue::nobody;
use crate::store::registry::{PeerRecord, Registry};
use crate::world::World;
use crate::world::peer::{declared, refuse_another, split_name};

/// The sender of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Sender {
    /// The sender's identity.
    pub identity: Identity,
    /// The sender's nature.
    pub intelligence: Intelligence,
    /// The sender's record in the registry; `None` for a schedule, which is no peer.
    pub record: Option<PeerRecord>,
}

impl Sender {
    /// Finds the sender: `given`, else `PEER_IDENTITY`, else the peer of the current folder, else the host's owner.
    /// Where `given` is absent, a sender that `PEER_PERSONALITY` contradicts is refused.
    pub fn find(paths: &Paths, registry: &Registry, given: Option<&str>) -> Result<Sender, Failure> {
        let session = std::env::var("PEER_IDENTITY").ok().filter(|value| !value.is_empty());
        let own = given.is_none();
        let (name, runtime) = match given.map(str::to_owned).or(session) {
            Some(text) => match schedule_of(paths, registry, &text) {
                Some(identity) => return Ok(Sender { identity, intelligence: Intelligence::Absent, record: None }),
                // A session knows its identity, and a peer may have a name of the same spelling.
                None => match declared(registry, &text).filter(|_| own) {
                    Some(identity) => (identity.personality().clone(), Some(identity.runtime().clone())),
                    None => split_name(registry, &text, None)?,
                },
            },
            None => {
                let cwd = std::env::current_dir()
                    .map_err(|error| Failure::new(Exit::Io, format!("no current folder: {error}")))?;
                match Profile::read(&cwd)? {
                    Some(profile) => (profile.personality().clone(), None),
                    None => match owner::owner(paths)? {
                        Some(owner) => (owner, None),
                        None => return Err(nobody_sends()),
                    },
                }
            }
        };
        if own {
            refuse_another(&name)?;
        }
        Sender::registered(registry, &name, runtime)
    }

    /// The answer that `message` is to the sender's task. A question is none: a worker that asks goes on once it has the
    /// answer.
    pub(crate) fn answer(&self, world: &World<'_>, message: &Message) -> Option<Answer> {
        let record = self.record.as_ref().filter(|_| message.ask.is_none())?;
        armed::answer(world, &self.identity, record)
    }

    fn registered(registry: &Registry, name: &Personality, runtime: Option<Runtime>) -> Result<Sender, Failure> {
        let record = registry.get(name).ok_or_else(|| {
            Failure::new(
                Exit::NoPeer,
                format!(
                    "unknown caller {:?}: a sender must be a peer, `iapeer create {name}` makes one",
                    name.as_str()
                ),
            )
        })?;
        let runtime = runtime.unwrap_or_else(|| record.default_runtime.clone());
        if !record.runtimes.contains(&runtime) {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "runtime {:?} is not declared for caller {:?} (declared: {}): `iapeer add-runtime {runtime} --peer {name}` declares it",
                    runtime.as_str(),
                    name.as_str(),
                    record.declared()
                ),
            ));
        }
        Ok(Sender {
            identity: Identity::new(runtime, name.clone()),
            intelligence: record.intelligence,
            record: Some(record.clone()),
        })
    }
}

fn nobody_sends() -> Failure {
    Failure::new(
        Exit::Usage,
        "who sends this? `iapeer create me --runtime person` makes you the owner of this host and the sender; \
         or give --from NAME, set PEER_IDENTITY, or run it in a peer's folder",
    )
}

/// The identity under which a schedule sends: `text` is `schedule-NAME`, that schedule exists, and no peer has that
/// name. An answer to it goes to the owner.
pub(crate) fn schedule_of(paths: &Paths, registry: &Registry, text: &str) -> Option<Identity> {
    let schedule: Personality = text.strip_prefix("schedule-")?.parse().ok()?;
    let name: Personality = text.parse().ok().filter(|name| registry.get(name).is_none())?;
    paths.schedule(&schedule).exists().then_some(())?;
    Some(Identity::new(nobody().runtime().clone(), name))
}
