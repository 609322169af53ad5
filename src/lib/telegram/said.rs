//! The commands of a person in the chat, parsed from text.

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    /// Show the commands.
    Help,
    /// List the agents.
    List,
    /// Show the state of the host.
    Status,
    /// Send the text to this peer; without a text, send the following texts to it.
    To(&'a str, &'a str),
    /// No command: send the text to the peer that it answers, or that the person wrote to last.
    Text(&'a str),
}

/// Parses a text.
pub(crate) fn read(text: &str) -> Said<'_> {
    let Some(command) = text.strip_prefix('/') else { return Said::Text(text) };
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    // In menus a command carries the bot's name: /list@bot.
    match word.split('@').next().unwrap_or_default() {
        "start" | "help" => Said::Help,
        "list" => Said::List,
        "status" => Said::Status,
        "to" => {
            let rest = rest.trim_start();
            let (name, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            if name.is_empty() { Said::Help } else { Said::To(name.trim_start_matches('@'), text.trim_start()) }
        }
        // A command of the agent program, or a path.
        _ => Said::Text(text),
    }
}

/// The text that shows the commands.
pub(crate) const HELP: &str = "A reply goes to whom it answers.\n\
    /to NAME TEXT writes to an agent; text without it goes to the one you wrote to last.\n\
    /list lists the agents, /status says how things stand.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_what_is_none_is_a_text() {
        for (text, said) in [
            ("hello", Said::Text("hello")),
            ("/start ABC", Said::Help),
            ("/list@my_bot", Said::List),
            ("/status", Said::Status),
            ("/to bob look\nat this", Said::To("bob", "look\nat this")),
            ("/to  @bob", Said::To("bob", "")),
            ("/to", Said::Help),
            ("/compact", Said::Text("/compact")),
            ("/etc/passwd is it", Said::Text("/etc/passwd is it")),
        ] {
            assert_eq!(read(text), said);
        }
    }
}
