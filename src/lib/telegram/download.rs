//! Files that a person sends: saved durably below the person's folder, before the message that names them is accepted.

use crate::base::exit::Failure;
use crate::base::paths;
use crate::store::durable;
use crate::telegram::api::{Api, ApiError, DOWNLOAD_MAX};
use crate::telegram::update::Sent;
use std::path::Path;

/// The result for one file.
pub(crate) enum Saved {
    /// The file is at this path.
    At(String),
    /// The file can't be downloaded: a line for the reader of the message.
    Missing(String),
}

/// Saves `file` in `<cwd>/telegram/` under a name that begins with `mark`. `mark` is the same in each try, so that a file
/// that is there already is not downloaded again.
pub(crate) fn save(api: &Api, cwd: &Path, mark: &str, file: &Sent) -> Result<Saved, Failure> {
    let name = file.saved_name();
    let folder = cwd.join("telegram");
    let path = folder.join(format!("{mark}-{name}"));
    let at = Saved::At(path.to_string_lossy().into_owned());
    if path.exists() {
        return Ok(at);
    }
    let missing = |why: &str| Ok(Saved::Missing(format!("[{name} was sent along and could not be fetched: {why}]")));
    if file.file_size.is_some_and(|size| size > DOWNLOAD_MAX) {
        return missing("Telegram gives a bot 20 MB at most");
    }
    match api.file(&file.file_id) {
        Ok(bytes) => {
            let new = !folder.is_dir();
            paths::create_dirs(&folder)?;
            if new {
                durable::sync_dir(cwd)?;
            }
            durable::publish(&path, &bytes)?;
            Ok(at)
        }
        Err(ApiError::Refused(_, why)) => missing(&why),
        Err(error) => Err(error.later()),
    }
}
