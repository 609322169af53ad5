//! The texts that may be typed into a session (D33): an envelope, a manifest's control text, or a draft that was in the
//! composer before. There is no type for any other text.

use super::TmuxError;

/// Text that may be pasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    pub(crate) text: &'a str,
    pub(crate) router: bool,
}

impl<'a> Input<'a> {
    /// A message: it begins with `<iap `, so that no composer takes it for a command.
    pub fn message(text: &'a str) -> Result<Input<'a>, TmuxError> {
        if !text.starts_with("<iap ") {
            return Err(TmuxError::Refused("the text is no envelope"));
        }
        checked(text).map(|text| Input { text, router: false })
    }

    /// A message to a router, which reads it with its line ends as they are.
    pub(crate) fn router(text: &'a str) -> Result<Input<'a>, TmuxError> {
        Input::message(text).map(|input| Input { router: true, ..input })
    }

    /// A person's own draft, put back into the composer that it was taken from. No key is pressed after it.
    pub fn draft(text: &'a str) -> Result<Input<'a>, TmuxError> {
        checked(text).map(|text| Input { text, router: false })
    }

    /// A manifest's control text, one line that begins with `/`. Only for an idle, empty composer.
    pub fn control(text: &'a str) -> Result<Input<'a>, TmuxError> {
        if !text.starts_with('/') || text.contains('\n') {
            return Err(TmuxError::Refused("the control text is not one line that begins with /"));
        }
        checked(text).map(|text| Input { text, router: false })
    }
}

/// Refuses control characters: they could end the paste, and what follows would act as keys.
fn checked(text: &str) -> Result<&str, TmuxError> {
    if text.chars().any(|c| c.is_control() && c != '\t' && c != '\n') {
        return Err(TmuxError::Refused("the text holds a control character"));
    }
    Ok(text)
}

/// A key, as tmux names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub(crate) String);

impl Key {
    /// The key tmux calls `name`: `Enter`, `Escape`, `C-c`.
    pub fn named(name: &str) -> Key {
        Key(name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_typed() {
        assert!(Input::message("<iap x>\n\t</iap>").is_ok());
        for bad in ["hello", "!ls", "/quit", " <iap x>", "<iapx>", "<iap \u{1b}[201~>", "<iap \r>", "<iap \0>"] {
            assert!(Input::message(bad).is_err(), "{bad:?}");
        }
        assert!(Input::control("/compact").is_ok());
        assert!(Input::control("/a\n/b").is_err() && Input::control("rm").is_err());
    }
}
