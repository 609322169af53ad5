//! Files that a person sends: saved durably below the person's folder, before the message that names them is accepted.

use crate::base::exit::Failure;
use crate::base::paths;
use crate::store::durable;
use crate::telegram::api::{Api, ApiError, DOWNLOAD_MAX};
use crate::telegram::update::Sent;
use std::path::Path;

/// Longest name of a saved file, in characters.
const NAME: usize = 80;

/// What became of one file.
pub(crate) enum Saved {
    /// It is at this path.
    At(String),
    /// The file can't be downloaded: a line for the reader of the message.
    Missing(String),
}

/// Saves `file` in `<cwd>/telegram/` under a name that begins with `mark`, which is the same each time.
pub(crate) fn save(api: &Api, cwd: &Path, mark: &str, file: &Sent) -> Result<Saved, Failure> {
    let name = safe_name(file.file_name.as_deref().unwrap_or(file.usual_name));
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

/// A name that is a file's on every system, and hides nothing.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = last.chars().map(plain).collect();
    // The end of a long name tells what it is.
    let skipped = name.chars().count().saturating_sub(NAME);
    let name: String = name.chars().skip(skipped).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for (given, safe) in [
            ("a b.png", "a_b.png"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            ("", "file"),
            ("-rf", "rf"),
            ("x\u{1b}]0;y\n", "x__0_y_"),
            ("C:\\x\\grün.txt", "grün.txt"),
        ] {
            assert_eq!(safe_name(given), safe);
        }
        assert!(safe_name(&format!("{}.pdf", "x".repeat(300))).ends_with("x.pdf"));
    }
}
