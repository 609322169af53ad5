//! The errands that keys start: each is carried out by the program that the command line has for it.

use crate::base::identity::Identity;

/// Something to be done by another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyErrand {
    /// Show the peer's session in this terminal.
    Attach(Identity),
    /// Answer what the peer waits for.
    Answer { to: Identity, request: Option<String>, word: String, why: String },
    /// Find out what the peer waits for, from its screen too.
    Attend(Identity),
    /// Send the peer a message.
    Send { to: Identity, text: String },
    /// List the unread messages of this person, else of the owner.
    Inbox(Option<Identity>),
    /// Read a message.
    Read { id: String },
    /// Answer a message.
    Reply { id: String, text: String },
    /// Interrupt the running turn.
    Interrupt(Identity),
    /// Stop the peer.
    Stop(Identity),
    /// Start the peer again.
    Start(Identity),
}

impl KeyErrand {
    /// The program, and its arguments.
    pub(crate) fn command(&self) -> (&'static str, Vec<String>) {
        let own = |words: &[&str]| ("iapeer", words.iter().map(|word| (*word).to_owned()).collect());
        let on = |verb: &str, of: &Identity| own(&[verb, of.personality().as_str(), of.runtime().as_str()]);
        match self {
            KeyErrand::Attach(of) => on("attach", of),
            KeyErrand::Answer { to, request, word, why } => {
                let why = (!why.is_empty()).then(|| format!("--message={why}"));
                let mut words = vec!["answer", to.as_str()];
                words.extend(request.as_deref());
                words.push(word);
                words.extend(why.as_deref());
                own(&words)
            }
            KeyErrand::Attend(_) => own(&["attention"]),
            KeyErrand::Send { to, text } => ("iapeer-send", vec![to.to_string(), format!("--message={text}")]),
            KeyErrand::Inbox(Some(of)) => own(&["inbox", of.as_str(), "--json"]),
            KeyErrand::Inbox(None) => own(&["inbox", "--json"]),
            KeyErrand::Read { id } => own(&["read", id]),
            KeyErrand::Reply { id, text } => own(&["reply", id, &format!("--message={text}")]),
            KeyErrand::Interrupt(of) => on("interrupt", of),
            KeyErrand::Stop(of) => on("stop", of),
            KeyErrand::Start(of) => on("start", of),
        }
    }

    /// The notice that is shown while the errand runs.
    pub(crate) fn progress(&self) -> String {
        match self {
            KeyErrand::Attach(of) => format!("attaching {}…", of.personality()),
            KeyErrand::Answer { to, .. } => format!("answering {}…", to.personality()),
            KeyErrand::Attend(of) => format!("looking what {} waits for…", of.personality()),
            KeyErrand::Send { to, .. } => format!("sending to {}…", to.personality()),
            KeyErrand::Inbox(_) | KeyErrand::Read { .. } => "reading…".to_owned(),
            KeyErrand::Reply { .. } => "answering…".to_owned(),
            KeyErrand::Interrupt(of) => format!("interrupting {}…", of.personality()),
            KeyErrand::Stop(of) => format!("stopping {}…", of.personality()),
            KeyErrand::Start(of) => format!("starting {}…", of.personality()),
        }
    }

    /// Whether the output and the exit code of the errand's program are ignored: the details, which are read afterwards,
    /// show the result.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self, KeyErrand::Attend(_))
    }
}

/// An errand that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrandDone {
    pub errand: KeyErrand,
    pub succeeded: bool,
    pub printed: String,
    pub complained: String,
}

impl ErrandDone {
    /// The line that reports the errand's result.
    pub(crate) fn line(&self) -> String {
        let first = |text: &str| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
        let last = |text: &str| text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        let said = if self.succeeded { first(&self.printed) } else { last(&self.complained) };
        said.or_else(|| last(&self.complained)).or_else(|| first(&self.printed)).unwrap_or_else(|| {
            let (program, words) = self.errand.command();
            let verb = words.first().map_or("", String::as_str);
            format!("{program} {verb}: {}", if self.succeeded { "done" } else { "it failed, and did not say why" })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Identity {
        "parrot-ann".parse().unwrap()
    }

    #[test]
    fn command_lines_as_a_table() {
        let answer = |request: Option<&str>, why: &str| KeyErrand::Answer {
            to: ann(),
            request: request.map(str::to_owned),
            word: "deny".to_owned(),
            why: why.to_owned(),
        };
        for (errand, line) in [
            (KeyErrand::Attach(ann()), "iapeer attach ann parrot"),
            (answer(None, ""), "iapeer answer parrot-ann deny"),
            (answer(Some("ab12"), "-no"), "iapeer answer parrot-ann ab12 deny --message=-no"),
            (KeyErrand::Attend(ann()), "iapeer attention"),
            (KeyErrand::Send { to: ann(), text: "-x y".to_owned() }, "iapeer-send parrot-ann --message=-x y"),
            (KeyErrand::Inbox(None), "iapeer inbox --json"),
            (KeyErrand::Inbox(Some(ann())), "iapeer inbox parrot-ann --json"),
            (KeyErrand::Read { id: "01".to_owned() }, "iapeer read 01"),
            (KeyErrand::Reply { id: "01".to_owned(), text: "yes".to_owned() }, "iapeer reply 01 --message=yes"),
            (KeyErrand::Interrupt(ann()), "iapeer interrupt ann parrot"),
            (KeyErrand::Stop(ann()), "iapeer stop ann parrot"),
            (KeyErrand::Start(ann()), "iapeer start ann parrot"),
        ] {
            let (program, words) = errand.command();
            assert_eq!(format!("{program} {}", words.join(" ")), line);
            assert!(!errand.progress().is_empty());
        }
    }

    #[test]
    fn what_is_said_as_a_table() {
        for (succeeded, printed, complained, line) in [
            (true, "\nann (parrot): stopped\nmore", "waiting", "ann (parrot): stopped"),
            (false, "x", "waiting for y\niapeer: no such peer\n", "iapeer: no such peer"),
            (false, "only this", "", "only this"),
            (true, "", "", "iapeer stop: done"),
            (false, "", "", "iapeer stop: it failed, and did not say why"),
        ] {
            let (printed, complained) = (printed.to_owned(), complained.to_owned());
            let done = ErrandDone { errand: KeyErrand::Stop(ann()), succeeded, printed, complained };
            assert_eq!(done.line(), line);
        }
    }
}
