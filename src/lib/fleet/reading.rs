//! Reading the values of a fleet file: paths relative to the file, texts in other files, errors that name line and column.

use crate::fleet::error::FleetError;
use crate::fleet::place::Places;
use crate::store::open::{self, Rule, without_bom};
use crate::world::World;
use std::path::{Path, PathBuf};

/// What reading a value needs: the world, the file's folder, its text for errors, and the fleet's name.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'r> {
    pub(crate) world: &'r World<'r>,
    pub(crate) dir: &'r Path,
    pub(crate) places: &'r Places,
    pub(crate) fleet: &'r str,
}

impl Reading<'_> {
    pub(crate) fn wrong(&self, keys: &[&str], why: impl Into<String>) -> FleetError {
        self.places.wrong(keys, why)
    }

    /// The absolute path for `path` in the file: relative to the file's folder, or to the home folder after `~/`.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        match path.strip_prefix("~") {
            Ok(rest) => self.world.paths.home().join(rest),
            Err(_) => tidy(&self.dir.join(path)),
        }
    }

    /// The text of a file that the file names, at most `max` bytes.
    pub(crate) fn text(&self, keys: &[&str], path: &Path, max: u64) -> Result<String, FleetError> {
        let path = self.absolute(path);
        let read =
            open::read(&path, Rule { max, ..Rule::DOCUMENT }).map_err(|error| self.wrong(keys, error.to_string()))?;
        let bytes = read.ok_or_else(|| self.wrong(keys, format!("{} is missing", path.display())))?;
        let text = String::from_utf8(without_bom(&bytes).to_vec());
        text.map_err(|_| self.wrong(keys, format!("{} is not UTF-8", path.display())))
    }
}

/// `path` without `.` and `..`, removed textually.
fn tidy(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut tidy, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(tidy.pop()),
            part => tidy.push(part),
        }
        tidy
    })
}
