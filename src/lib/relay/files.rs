//! The files that go with a message: sent in parts, and assembled on the other host in a folder of the message.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::base::step::{self, Point};
use crate::message::limits;
use crate::relay::wire::{FileHead, FilePart};
use crate::store::durable::{self, Published};
use crate::store::open::{self, Rule};
use crate::store::queue::Item;
use crate::world::World;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The number of bytes of a file in one part.
const PIECE: usize = 256 * 1024;

/// Why the files of a message can't be read or stored.
pub(crate) enum FileTrouble {
    /// The failure is permanent.
    Refused(String),
    /// Parts of them have not come.
    Missing(String),
    /// A later try may succeed.
    Here(Failure),
}

impl From<Failure> for FileTrouble {
    fn from(failure: Failure) -> FileTrouble {
        FileTrouble::Here(failure)
    }
}

/// Reads the files of `item` and passes each part to `send`. Returns their names and sizes; the inner error says why a
/// file can't be read any more.
pub(crate) fn read<E: From<Failure>>(
    item: &Item,
    mut send: impl FnMut(FilePart) -> Result<(), E>,
) -> Result<Result<Vec<FileHead>, String>, E> {
    let mut heads = Vec::new();
    for (at, path) in item.attachments.iter().map(Path::new).enumerate() {
        let gone = |error: &dyn std::fmt::Display| {
            format!("its attachment {} can't be read any more: {error}", path.display())
        };
        let Some(name) = limits::file_name(path) else { return Ok(Err(gone(&"its name"))) };
        let mut file = match open::open(path, Rule { max: u64::MAX, ..Rule::DOCUMENT }) {
            Ok(Some((file, _))) => file,
            Ok(None) => return Ok(Err(gone(&"it is gone"))),
            Err(error) => return Ok(Err(gone(&error))),
        };
        let mut size = 0;
        loop {
            let mut piece = Vec::new();
            if let Err(error) = (&mut file).take(PIECE as u64).read_to_end(&mut piece) {
                return Ok(Err(gone(&error)));
            }
            // An empty file has one part too.
            if piece.is_empty() && size > 0 {
                break;
            }
            let part =
                FilePart { id: item.id, file: at, name: name.to_owned(), offset: size, data: STANDARD.encode(&piece) };
            size += piece.len() as u64;
            send(part)?;
            if piece.len() < PIECE {
                break;
            }
        }
        heads.push(FileHead { name: name.to_owned(), size });
    }
    Ok(Ok(heads))
}

/// The unfinished file `file` of the message `id`.
fn unfinished(world: &World<'_>, id: MessageId, file: usize) -> PathBuf {
    world.paths.attachments(id).join(format!(".part-{file}"))
}

/// The host to which the folder of the message `id` belongs: the first that sends a file for that id owns it, so that
/// no host can change what came with another host's message.
fn owner(world: &World<'_>, id: MessageId) -> Result<Option<Vec<u8>>, Failure> {
    Ok(durable::read_optional(&owner_file(world, id))?)
}

fn owner_file(world: &World<'_>, id: MessageId) -> PathBuf {
    world.paths.attachments(id).join(".from")
}

/// Makes `host` the owner of the folder of the message `id`, if the folder has no owner yet. Returns whether `host`
/// owns it.
fn own(world: &World<'_>, host: &HostName, id: MessageId) -> Result<bool, Failure> {
    let name = host.as_str().as_bytes();
    if let Some(of) = owner(world, id)? {
        return Ok(of == name);
    }
    paths::create_dirs(&world.paths.attachments(id))?;
    match durable::publish(&owner_file(world, id), name)? {
        Published::Done => Ok(true),
        Published::Taken => Ok(owner(world, id)?.is_some_and(|of| of == name)),
    }
}

/// Stores a part. A part that is over the limits, whose id another host's message has, or that does not follow what has come
/// is dropped: [`complete`] does not find the file complete then.
pub(crate) fn take(world: &World<'_>, host: &HostName, part: &FilePart) -> Result<(), Failure> {
    let Ok(data) = STANDARD.decode(&part.data) else { return Ok(()) };
    let end = part.offset.saturating_add(data.len() as u64);
    if part.file >= limits::MAX_ATTACHMENTS || end > world.settings.attachments_max {
        return Ok(());
    }
    if !own(world, host, part.id)? {
        return Ok(());
    }
    let path = unfinished(world, part.id, part.file);
    let failed = |error: std::io::Error| Failure::io("write", &path, &error);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(part.offset == 0).custom_flags(open::NO_WAIT_NO_LINK);
    let file = step::open(Point::PartOpen, &path, &mut options).map_err(failed)?;
    // Where the part before this one has not come, the file would have a hole.
    if file.metadata().map_err(failed)?.len() < part.offset {
        return Ok(());
    }
    step::write_at(Point::PartWrite, &file, &path, &data, part.offset).map_err(failed)
}

/// Writes the received files of the message `id` durably under their names, and returns their paths.
pub(crate) fn complete(
    world: &World<'_>,
    host: &HostName,
    id: MessageId,
    heads: &[FileHead],
) -> Result<Vec<String>, FileTrouble> {
    let refused = |why: String| Err(FileTrouble::Refused(why));
    if !heads.is_empty() && owner(world, id)?.is_some_and(|of| of != host.as_str().as_bytes()) {
        return refused("another host's message has this id, and files".into());
    }
    let max = world.settings.attachments_max;
    if heads.len() > limits::MAX_ATTACHMENTS || heads.iter().map(|head| head.size).fold(0, u64::saturating_add) > max {
        return refused(format!(
            "its attachments are over the limit of {max} bytes here (IAPEER_ATTACHMENTS_MAX_BYTES)"
        ));
    }
    let mut placed = Vec::new();
    for (at, head) in heads.iter().enumerate() {
        if limits::file_name(Path::new(&head.name)) != Some(head.name.as_str()) {
            return refused(format!("its attachment {:?} has a name that is not taken here", head.name));
        }
        let dir = world.paths.attachments(id).join(at.to_string());
        let (path, part) = (dir.join(&head.name), unfinished(world, id, at));
        let size = |path: &Path| path.symlink_metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
        // The file may have been received and moved before.
        if size(&path) != Some(head.size) {
            let bytes = open::read(&part, Rule { max, ..Rule::STATE }).ok().flatten().unwrap_or_default();
            if bytes.len() as u64 != head.size || !part.is_file() {
                let why = format!("{} of {} bytes of its attachment {:?} have come", bytes.len(), head.size, head.name);
                return Err(FileTrouble::Missing(why));
            }
            paths::create_dirs(&dir)?;
            durable::write_atomic(&path, &bytes).map_err(Failure::from)?;
        }
        let _ = step::unlink(Point::PartRemove, &part);
        placed.push(path.to_string_lossy().into_owned());
    }
    Ok(placed)
}

/// Removes the files of a message that was refused.
pub(crate) fn forget(world: &World<'_>, host: &HostName, id: MessageId) {
    if matches!(owner(world, id), Ok(Some(of)) if of == host.as_str().as_bytes()) {
        let _ = durable::remove_tree(&world.paths.attachments(id));
    }
}
