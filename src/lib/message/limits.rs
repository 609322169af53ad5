//! The limits of a message, checked once, when the message is accepted.

use crate::base::exit::{Exit, Failure};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Longest body in characters (Unicode scalar values).
pub(crate) const MAX_BODY: usize = 16_000;
/// Most attachments.
pub(crate) const MAX_ATTACHMENTS: usize = 20;

/// Refuses (65) a body that is blank, over the limit, or contains a control character other than TAB and LF: such a
/// character could end the bracketed paste by which the body is typed.
pub(crate) fn check_body(body: &str) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::new(Exit::DataErr, why));
    if body.trim().is_empty() {
        return refuse("the message is empty".into());
    }
    let count = body.chars().count();
    if count > MAX_BODY {
        return refuse(format!(
            "the message has {count} characters, over the limit of {MAX_BODY}: put it into a file and attach that"
        ));
    }
    match body.chars().enumerate().find(|(_, c)| c.is_control() && *c != '\t' && *c != '\n') {
        None => Ok(()),
        Some((at, '\r')) => {
            refuse(format!("the message holds a carriage return (character {}): convert it to LF line ends", at + 1))
        }
        Some((at, c)) => refuse(format!(
            "the message holds the control character U+{:04X} (character {}): only TAB and LF may be in it; attach such data as a file",
            c as u32,
            at + 1
        )),
    }
}

/// Refuses too many attachments, and attachments that are not absolute paths of regular files (65) or can't be read
/// (66).
pub(crate) fn check_attachments(paths: &[String]) -> Result<(), Failure> {
    if paths.len() > MAX_ATTACHMENTS {
        return Err(Failure::new(
            Exit::DataErr,
            format!("attachments exceeds {MAX_ATTACHMENTS} item limit (got {})", paths.len()),
        ));
    }
    for path in paths {
        if !path.starts_with('/') {
            return Err(Failure::new(
                Exit::DataErr,
                format!("attachments must contain only absolute local paths: {path:?}"),
            ));
        }
        if path.chars().any(char::is_control) {
            return Err(Failure::new(
                Exit::DataErr,
                format!("attachment paths must not contain newline characters: {path:?}"),
            ));
        }
        // Non-blocking: opening a FIFO that nobody writes to would wait for ever.
        let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(Path::new(path));
        match opened.and_then(|file| file.metadata()) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => {
                return Err(Failure::new(
                    Exit::DataErr,
                    format!("the attachment {path} is not a regular file: attach files, or an archive of a folder"),
                ));
            }
            Err(error) => {
                return Err(Failure::new(Exit::NoInput, format!("cannot read the attachment {path}: {error}")));
            }
        }
    }
    Ok(())
}

/// The last part of `path`, where that may be the name of a file on another host: no hidden file, no control
/// characters, 200 bytes at most.
pub(crate) fn file_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let fits =
        name.len() <= 200 && !name.starts_with('.') && !name.contains('/') && !name.chars().any(char::is_control);
    fits.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_as_a_table() {
        for good in ["x", " x\n\ty", &"é".repeat(MAX_BODY), "-f", "x;", "]]>", "<iap "] {
            assert!(check_body(good).is_ok(), "{good:.20}");
        }
        for bad in ["", " \n", &"x".repeat(MAX_BODY + 1), "a\0b", "a\u{1b}b", "a\rb", "a\u{7f}", "a\u{9b}b"] {
            assert_eq!(check_body(bad).unwrap_err().exit, Exit::DataErr, "{bad:.20?}");
        }
    }

    #[test]
    fn names_of_files_as_a_table() {
        for (path, name) in [
            ("/a/b c.png", Some("b c.png")),
            ("x", Some("x")),
            ("../x", Some("x")),
            ("/a/..", None),
            ("/", None),
            ("/a/.ssh", None),
            ("/a/b\nc", None),
        ] {
            assert_eq!(file_name(Path::new(path)), name, "{path}");
        }
        assert_eq!(file_name(Path::new(&"x".repeat(201))), None);
    }

    #[test]
    fn attachments_as_a_table() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b");
        std::fs::write(&file, "x").unwrap();
        let file = file.to_str().unwrap().to_owned();
        assert!(check_attachments(std::slice::from_ref(&file)).is_ok());
        let exit = |path: &str| check_attachments(&[path.to_owned()]).unwrap_err().exit;
        assert_eq!(exit("relative"), Exit::DataErr);
        assert_eq!(exit("/a\nb"), Exit::DataErr);
        assert_eq!(exit("/nonexistent"), Exit::NoInput);
        assert_eq!(exit(dir.path().to_str().unwrap()), Exit::DataErr);
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(exit(fifo.to_str().unwrap()), Exit::DataErr);
        assert_eq!(exit("/dev/null"), Exit::DataErr);
        assert_eq!(check_attachments(&vec![file; 21]).unwrap_err().exit, Exit::DataErr);
    }
}
