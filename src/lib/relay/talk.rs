//! A connection with another host over two pipes, line by line.

use crate::base::exit::Failure;
use crate::base::span::said;
use crate::relay::error::RelayError;
use crate::relay::wire::{Hello, PROTOCOL, WINDOW, WireLine};
use crate::store::hosts::{self, HostFile, SshHost};
use crate::world::World;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// The longest line that is read: a part of a file takes a third of that, a message less.
const LINE_MAX: u64 = 1 << 20;
/// How many lines are read ahead, which bounds the memory: more than there can be unacknowledged messages, so that the two
/// sides never wait for each other to read.
const AHEAD: usize = 2 * WINDOW;
/// How many lines a login on the other machine may print before iapeer says hello.
const BANNER: usize = 100;

/// A line that was read.
enum Heard {
    Line(Box<WireLine>),
    /// A line that is not of the protocol.
    Noise(String),
    Broken(String),
}

/// A connection. Reading times out where the other side is silent for too long.
pub(crate) struct Talk<W: Write> {
    heard: Receiver<Heard>,
    out: BufWriter<W>,
    /// How long the other side may be silent.
    patience: Duration,
}

impl<W: Write> Talk<W> {
    /// A connection that reads from `input` and writes to `output`.
    pub(crate) fn new(input: impl Read + Send + 'static, output: W, patience: Duration) -> Talk<W> {
        let (sender, heard) = sync_channel(AHEAD);
        // The thread ends at the end of the input, or when nothing receives its lines any more.
        std::thread::spawn(move || listen(BufReader::new(input), &sender));
        Talk { heard, out: BufWriter::new(output), patience }
    }

    /// Writes a line. The line is sent by [`Talk::flush`] or by a wait for the other side.
    pub(crate) fn say(&mut self, line: &WireLine) -> Result<(), RelayError> {
        let text = serde_json::to_string(line).map_err(|error| RelayError::Away(error.to_string()))?;
        writeln!(self.out, "{text}").map_err(|error| broken(&error))
    }

    pub(crate) fn flush(&mut self) -> Result<(), RelayError> {
        self.out.flush().map_err(|error| broken(&error))
    }

    /// The next line, if one has already come.
    pub(crate) fn heard(&mut self) -> Result<Option<WireLine>, RelayError> {
        self.heard.try_recv().map_or(Ok(None), |heard| understood(heard).map(Some))
    }

    /// The next line. `None`: the other side has closed the connection.
    pub(crate) fn hear(&mut self) -> Result<Option<WireLine>, RelayError> {
        self.flush()?;
        match self.heard.recv_timeout(self.patience) {
            Ok(heard) => understood(heard).map(Some),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                Err(RelayError::Away(format!("nothing came for {}", said(self.patience))))
            }
        }
    }

    /// [`Talk::hear`] where the end of the connection is an error.
    pub(crate) fn expect(&mut self) -> Result<WireLine, RelayError> {
        self.hear()?.ok_or_else(|| RelayError::Away("the connection ended".into()))
    }

    /// The other side's hello; lines that the machine's login printed before are skipped.
    pub(crate) fn greeted(&mut self) -> Result<Hello, RelayError> {
        self.flush()?;
        let mut noise = None;
        for _ in 0..BANNER {
            match self.heard.recv_timeout(self.patience) {
                Ok(Heard::Line(line)) => {
                    return match *line {
                        WireLine::Hello(hello) => Ok(hello),
                        WireLine::Bye(why) => Err(RelayError::Refused(why)),
                        _ => Err(RelayError::Refused("it does not begin with a hello".into())),
                    };
                }
                Ok(Heard::Noise(text)) => noise = Some(text),
                Ok(Heard::Broken(why)) => return Err(RelayError::Away(why)),
                Err(RecvTimeoutError::Timeout) => return Err(RelayError::Away("it does not say hello".into())),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let said = noise.map(|text| format!(": it said {text:?}")).unwrap_or_default();
        Err(RelayError::Away(format!("iapeer-relay did not answer there{said}")))
    }
}

/// The hello of this host to the host that `file` describes.
pub(crate) fn own_hello(world: &World<'_>, file: &HostFile) -> Result<Hello, Failure> {
    let calls = match file {
        HostFile::Ssh(SshHost { destination, .. }) => destination.is_some(),
        HostFile::Nats => true,
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Hello { host: hosts::own_name(world.paths)?, version, protocol: PROTOCOL, calls })
}

fn understood(heard: Heard) -> Result<WireLine, RelayError> {
    match heard {
        Heard::Line(line) => match *line {
            WireLine::Bye(why) => Err(RelayError::Refused(why)),
            line => Ok(line),
        },
        Heard::Noise(text) => Err(RelayError::Away(format!("it said something else in between: {text:?}"))),
        Heard::Broken(why) => Err(RelayError::Away(why)),
    }
}

fn broken(error: &io::Error) -> RelayError {
    RelayError::Away(format!("the connection broke: {error}"))
}

fn listen(mut input: impl BufRead, heard: &SyncSender<Heard>) {
    loop {
        let mut line = Vec::new();
        let one = match (&mut input).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) if line.last() != Some(&b'\n') => Heard::Broken("the connection ended within a line".into()),
            Ok(_) => match serde_json::from_slice(&line) {
                Ok(line) => Heard::Line(Box::new(line)),
                Err(_) => Heard::Noise(String::from_utf8_lossy(&line).trim().chars().take(120).collect()),
            },
            Err(error) => Heard::Broken(error.to_string()),
        };
        let ends = matches!(one, Heard::Broken(_));
        if heard.send(one).is_err() || ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn talk(input: &str) -> Talk<Vec<u8>> {
        Talk::new(Cursor::new(input.to_owned().into_bytes()), Vec::new(), Duration::from_secs(20))
    }

    const HELLO: &str = "{\"hello\":{\"host\":\"box\",\"version\":\"1\",\"protocol\":[1,1]}}\n";

    #[test]
    fn what_a_login_prints_before_the_hello_is_passed_over() {
        let mut talk = talk(&format!("Welcome to box\n\n{HELLO}\"done\"\n"));
        assert_eq!(talk.greeted().unwrap().host.as_str(), "box");
        assert_eq!(talk.expect().unwrap(), WireLine::Done);
        assert_eq!(talk.hear().unwrap(), None);
    }

    #[test]
    fn whatever_else_comes_is_an_error_that_says_what_it_was() {
        for (input, why) in [
            ("", "did not answer there"),
            ("sh: 1: iapeer-relay: not found\n", "it said \"sh: 1: iapeer-relay: not found\""),
            ("{\"bye\":\"box does not know laptop\"}\n", "box does not know laptop"),
            ("\"done\"\n", "does not begin with a hello"),
            ("{\"hello\":", "ended within a line"),
        ] {
            let error = talk(input).greeted().unwrap_err().to_string();
            assert!(error.contains(why), "{input:?}: {error}");
        }
        let mut broken = talk(&format!("{HELLO}oops\n"));
        broken.greeted().unwrap();
        assert!(broken.expect().unwrap_err().to_string().contains("oops"));
    }
}
