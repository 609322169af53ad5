//! The JSON value that an agent writes to its hook's stdin.
//!
//! Not every agent closes the pipe after the value, and an agent waits for its hook: reading ends with the value, at the
//! end of the input, or when nothing has arrived for `SILENCE`.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Read;
use std::os::fd::AsFd;

/// How many bytes are kept: far more than any prompt seen. Of longer input the front is kept, which has the envelope.
const INPUT_LIMIT: usize = 16 << 20;
/// How long a hook waits for an agent that has not finished its value, in milliseconds.
const SILENCE: u16 = 5000;

/// Reads the value, or as much of it as there is.
pub fn read(mut input: impl Read + AsFd) -> Vec<u8> {
    let (mut bytes, mut scan) = (Vec::new(), Scan::default());
    let mut block = vec![0; 64 * 1024];
    loop {
        // Input right behind the value is read too: the agent must not get a broken pipe from its hook.
        let patience = if scan.is_complete() { PollTimeout::ZERO } else { PollTimeout::from(SILENCE) };
        let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, patience) {
            Ok(0) => return bytes,
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return bytes,
        }
        let Ok(n @ 1..) = input.read(&mut block) else { return bytes };
        scan.feed(&block[..n]);
        let room = INPUT_LIMIT - bytes.len();
        bytes.extend_from_slice(&block[..n.min(room)]);
    }
}

/// Finds the end of a JSON object or array by counting brackets outside of strings, reading each byte once.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.is_complete() => return,
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.begun && self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_its_brackets_do() {
        for (text, complete) in [
            (r#"{"a":1}"#, true),
            (r#" {"a":{"b":[1,2]}} "#, true),
            (r#"{"a":"}"#, false),
            (r#"{"a":"\"}"}"#, true),
            (r#"{"a":"\\"}"#, true),
            (r#"{"a":"\\\"}"#, false),
            (r#"{"a":[}"#, false),
            ("", false),
            ("text", false),
        ] {
            let mut whole = Scan::default();
            whole.feed(text.as_bytes());
            assert_eq!(whole.is_complete(), complete, "{text}");
            let mut bytewise = Scan::default();
            text.as_bytes().chunks(1).for_each(|byte| bytewise.feed(byte));
            assert_eq!(bytewise.is_complete(), complete, "{text}");
        }
    }
}
