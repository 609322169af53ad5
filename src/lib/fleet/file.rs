//! Reading a fleet file: what it describes, with every path absolute and every name checked. Besides the files that it
//! names, only the runtimes' manifests, this host's name and the service manager (whether it accepts the schedules) are
//! consulted. Nothing is changed.

use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::base::normalize;
use crate::fleet::error::FleetError;
use crate::fleet::hosts::{self, FleetHost};
use crate::fleet::peer::{self, FleetPeer};
use crate::fleet::place::Places;
use crate::fleet::reading::Reading;
use crate::fleet::schedule::{self, FleetSchedule};
use crate::fleet::table::FleetTables;
use crate::store::durable::StoreError;
use crate::store::open::{self, Rule, without_bom};
use crate::world::World;
use std::path::{Path, PathBuf};

/// The file that is used where none is named.
pub(crate) const DEFAULT_FILE: &str = "fleet.toml";

/// What a fleet file describes.
#[derive(Debug)]
pub struct Fleet {
    /// The fleet's name, which the peers and schedules that it manages record.
    pub name: String,
    /// The absolute path of the file.
    pub file: PathBuf,
    /// The person that is to be the owner of the host.
    pub owner: Option<Personality>,
    /// Its peers, by name.
    pub(crate) peers: Vec<FleetPeer>,
    /// Its schedules, by name.
    pub(crate) schedules: Vec<FleetSchedule>,
    /// Its other hosts, by name.
    pub(crate) hosts: Vec<FleetHost>,
    pub(crate) places: Places,
}

impl Fleet {
    /// Reads the file at `path`.
    pub fn read(world: &World<'_>, path: &Path) -> Result<Fleet, Failure> {
        Ok(read(world, path)?)
    }

    /// The peer `name`.
    pub(crate) fn peer(&self, name: &Personality) -> Option<&FleetPeer> {
        self.peers.iter().find(|peer| peer.name == *name)
    }
}

fn read(world: &World<'_>, path: &Path) -> Result<Fleet, FleetError> {
    let bytes = open::read(path, Rule::DOCUMENT)?.ok_or_else(|| FleetError::Missing(path.to_owned()))?;
    let file = path.canonicalize().map_err(|error| StoreError::io("find", path, error))?;
    let wrong =
        |byte, why: &str| Places::new(path.to_owned(), String::from_utf8_lossy(&bytes).into()).wrong_at(byte, why);
    let text =
        std::str::from_utf8(without_bom(&bytes)).map_err(|error| wrong(error.valid_up_to(), "this is not UTF-8"))?;
    let places = Places::new(path.to_owned(), text.to_owned());
    let tables: FleetTables = toml::from_str(places.text()).map_err(|error| places.parse_error(&error))?;
    let name = tables.fleet.name.clone().unwrap_or_else(|| default_name(&file));
    if name.parse::<Personality>().is_err() {
        let why =
            format!("{name:?} is no name for a fleet (a letter a-z, then a-z, 0-9 and -): give `name` in [fleet]");
        return Err(places.wrong(&["fleet", "name"], why));
    }
    let dir = file.parent().unwrap_or(Path::new("/")).to_owned();
    let reading = Reading { world, dir: &dir, places: &places, fleet: &name };
    let peers = peer::read_all(reading, &tables)?;
    let schedules = schedule::read_all(reading, &tables.schedules)?;
    let hosts = hosts::read_all(reading, &tables.hosts)?;
    let owner = tables.fleet.owner.as_deref().map(|owner| read_owner(reading, owner)).transpose()?;
    Ok(Fleet { name, file, owner, peers, schedules, hosts, places })
}

fn read_owner(reading: Reading<'_>, text: &str) -> Result<Personality, FleetError> {
    text.parse().map_err(|error| reading.wrong(&["fleet", "owner"], format!("{error}")))
}

/// The name of a fleet without `name`: the file's name, or its folder's if the file is called `fleet`.
pub(crate) fn default_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = || file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let told = if stem == "fleet" { folder() } else { stem };
    let name = normalize::normalize(&told);
    if name.is_empty() { "fleet".to_owned() } else { name }
}
