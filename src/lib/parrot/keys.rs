//! Decodes bytes from the terminal into keys and pastes.
//!
//! The decoder keeps its state between reads, since a read may end in the middle of a sequence. A single escape byte is
//! either the Escape key or the start of a sequence: the caller waits briefly for the rest, then calls
//! [`Decoder::flush`].

/// One thing the user did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TypedKey {
    /// A character, or TAB.
    Char(char),
    /// A byte that is not UTF-8.
    Byte(u8),
    /// A bracketed paste, CR turned to LF, else exact.
    Paste(Vec<u8>),
    /// CR.
    Enter,
    /// LF.
    Newline,
    Backspace,
    Escape,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
    /// Ctrl and this letter (`c`, `d`, `l`, `u`).
    Ctrl(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ground,
    Escape,
    /// After `ESC [`.
    Csi,
    /// After `ESC O`.
    Ss3,
    /// In an answer of the terminal (OSC, DCS, …), which ends with BEL or `ESC \`.
    Answer,
    AnswerEscape,
    Paste,
}

const PASTE_END: &[u8] = b"\x1b[201~";

/// Turns bytes into [`TypedKey`]s.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes of an unfinished character, sequence or paste.
    held: Vec<u8>,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Decoder { state: State::Ground, held: Vec::new() }
    }

    /// Decodes `bytes` and appends the keys to `keys`.
    pub(crate) fn feed(&mut self, bytes: &[u8], keys: &mut Vec<TypedKey>) {
        bytes.iter().for_each(|byte| self.byte(*byte, keys));
    }

    /// Whether a lone escape byte waits for [`Decoder::flush`].
    pub(crate) fn lone_escape(&self) -> bool {
        self.state == State::Escape
    }

    /// Nothing followed in time: the escape byte was the Escape key.
    pub(crate) fn flush(&mut self, keys: &mut Vec<TypedKey>) {
        if self.lone_escape() {
            self.state = State::Ground;
            keys.push(TypedKey::Escape);
        }
    }

    fn byte(&mut self, byte: u8, keys: &mut Vec<TypedKey>) {
        match self.state {
            State::Ground => self.ground(byte, keys),
            State::Paste => self.paste(byte, keys),
            State::Escape => match byte {
                b'[' => self.state = State::Csi,
                b'O' => self.state = State::Ss3,
                b']' | b'P' | b'X' | b'^' | b'_' => self.state = State::Answer,
                // Two presses of the key.
                0x1b => keys.push(TypedKey::Escape),
                // Alt and a key: ignored.
                _ => self.state = State::Ground,
            },
            State::Ss3 => {
                self.state = State::Ground;
                keys.extend(movement(byte));
            }
            State::Csi => self.csi(byte, keys),
            State::Answer => match byte {
                0x07 => self.state = State::Ground,
                0x1b => self.state = State::AnswerEscape,
                // No answer contains other control characters: this was none, and must not swallow the user's input.
                0..=0x1f => self.restart(byte, keys),
                _ => {}
            },
            State::AnswerEscape => match byte {
                b'\\' => self.state = State::Ground,
                _ => {
                    self.state = State::Escape;
                    self.byte(byte, keys);
                }
            },
        }
    }

    fn restart(&mut self, byte: u8, keys: &mut Vec<TypedKey>) {
        self.state = State::Ground;
        self.held.clear();
        self.byte(byte, keys);
    }

    fn ground(&mut self, byte: u8, keys: &mut Vec<TypedKey>) {
        if !self.held.is_empty() {
            if byte & 0xc0 == 0x80 {
                self.held.push(byte);
                if self.held.len() == utf8_length(self.held[0]) {
                    self.release(keys);
                }
                return;
            }
            self.release(keys);
        }
        match byte {
            0x1b => self.state = State::Escape,
            b'\r' => keys.push(TypedKey::Enter),
            b'\n' => keys.push(TypedKey::Newline),
            0x08 | 0x7f => keys.push(TypedKey::Backspace),
            0x03 => keys.push(TypedKey::Ctrl('c')),
            0x04 => keys.push(TypedKey::Ctrl('d')),
            0x0c => keys.push(TypedKey::Ctrl('l')),
            0x15 => keys.push(TypedKey::Ctrl('u')),
            b'\t' | 0x20..=0x7e => keys.push(TypedKey::Char(char::from(byte))),
            0..=0x1f => {}
            _ if utf8_length(byte) > 1 => self.held.push(byte),
            _ => keys.push(TypedKey::Byte(byte)),
        }
    }

    /// Emits the bytes of `held`: as a character where they form one, else byte by byte.
    fn release(&mut self, keys: &mut Vec<TypedKey>) {
        let held = std::mem::take(&mut self.held);
        match std::str::from_utf8(&held) {
            Ok(text) => keys.extend(text.chars().map(TypedKey::Char)),
            Err(_) => keys.extend(held.into_iter().map(TypedKey::Byte)),
        }
    }

    fn csi(&mut self, byte: u8, keys: &mut Vec<TypedKey>) {
        match byte {
            0x20..=0x3f if self.held.len() < 64 => self.held.push(byte),
            0x40..=0x7e => {
                self.state = State::Ground;
                let parameters = std::mem::take(&mut self.held);
                match (parameters.as_slice(), byte) {
                    (b"200", b'~') => self.state = State::Paste,
                    (b"", _) => keys.extend(movement(byte)),
                    // The sequences of xterm, rxvt and the Linux console.
                    (b"1" | b"7", b'~') => keys.push(TypedKey::Home),
                    (b"4" | b"8", b'~') => keys.push(TypedKey::End),
                    (b"5", b'~') => keys.push(TypedKey::PageUp),
                    (b"6", b'~') => keys.push(TypedKey::PageDown),
                    _ => {}
                }
            }
            _ => self.restart(byte, keys),
        }
    }

    fn paste(&mut self, byte: u8, keys: &mut Vec<TypedKey>) {
        self.held.push(byte);
        if byte == b'~' && self.held.ends_with(PASTE_END) {
            self.state = State::Ground;
            let mut bytes = std::mem::take(&mut self.held);
            bytes.truncate(bytes.len() - PASTE_END.len());
            // tmux turns LF into CR when it pastes.
            bytes.iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b'\n');
            keys.push(TypedKey::Paste(bytes));
        }
    }
}

fn movement(last: u8) -> Option<TypedKey> {
    match last {
        b'A' => Some(TypedKey::Up),
        b'B' => Some(TypedKey::Down),
        b'H' => Some(TypedKey::Home),
        b'F' => Some(TypedKey::End),
        _ => None,
    }
}

/// The length in bytes of a UTF-8 character that starts with `first`; 1 where none of several bytes does.
fn utf8_length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(reads: &[&[u8]]) -> Vec<TypedKey> {
        let (mut decoder, mut keys) = (Decoder::new(), Vec::new());
        reads.iter().for_each(|read| decoder.feed(read, &mut keys));
        decoder.flush(&mut keys);
        keys
    }

    fn typed(text: &str) -> Vec<TypedKey> {
        text.chars().map(TypedKey::Char).collect()
    }

    #[test]
    fn table_of_keys() {
        let rows: &[(&[u8], Vec<TypedKey>)] = &[
            (b"ab", typed("ab")),
            (b"\r", vec![TypedKey::Enter]),
            (b"\n", vec![TypedKey::Newline]),
            (b"\x7f\x08", vec![TypedKey::Backspace, TypedKey::Backspace]),
            (b"\x03\x04\x15", vec![TypedKey::Ctrl('c'), TypedKey::Ctrl('d'), TypedKey::Ctrl('u')]),
            (b"\x1b", vec![TypedKey::Escape]),
            (b"\x1b\x1b", vec![TypedKey::Escape, TypedKey::Escape]),
            (b"\x1b[A\x1bOB", vec![TypedKey::Up, TypedKey::Down]),
            (b"\x1b[H\x1bOF\x1b[1~\x1b[4~", vec![TypedKey::Home, TypedKey::End, TypedKey::Home, TypedKey::End]),
            (b"\x1b[5~\x1b[6~\x0c", vec![TypedKey::PageUp, TypedKey::PageDown, TypedKey::Ctrl('l')]),
            (b"\x1b[C\x1b[1;5A\x1b[3~\x1bfx", typed("x")),
            (b"\x1b]11;rgb:0/0/0\x07y\x1bP1$r0m\x1b\\z", typed("yz")),
            (b"\x1b]broken\r", vec![TypedKey::Enter]),
            (b"\x1b[12\r", vec![TypedKey::Enter]),
            (b"\x01\x02\x1f", vec![]),
            (b"\t", vec![TypedKey::Char('\t')]),
            ("é漢🦜".as_bytes(), typed("é漢🦜")),
            (b"\xff\xc3(", vec![TypedKey::Byte(0xff), TypedKey::Byte(0xc3), TypedKey::Char('(')]),
            (b"\xed\xa0\x80", vec![TypedKey::Byte(0xed), TypedKey::Byte(0xa0), TypedKey::Byte(0x80)]),
        ];
        for (bytes, expected) in rows {
            assert_eq!(&keys(&[bytes]), expected, "{bytes:?}");
        }
    }

    #[test]
    fn table_of_pastes() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"", b""),
            (b"a\rb\r\rc", b"a\nb\n\nc"),
            (b"\ta\xff\x03\x04", b"\ta\xff\x03\x04"),
            (b"\x1b[200~ \x1b[A \x1b[201 ~", b"\x1b[200~ \x1b[A \x1b[201 ~"),
            ("漢🦜 ]]> $(x) `y`".as_bytes(), "漢🦜 ]]> $(x) `y`".as_bytes()),
        ];
        for (inside, expected) in rows {
            let stream = [b"\x1b[200~", *inside, PASTE_END, b"\r"].concat();
            assert_eq!(keys(&[&stream]), [TypedKey::Paste(expected.to_vec()), TypedKey::Enter], "{inside:?}");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_means_the_same() {
        let stream = "x漢\x1b[200~é\ry\x1b[20\x1b[201~\r\x1b[Az\x1bOB\n".as_bytes();
        let whole = keys(&[stream]);
        for cut in 0..=stream.len() {
            assert_eq!(keys(&[&stream[..cut], &stream[cut..]]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(keys(&single), whole);
    }

    #[test]
    fn a_large_paste_is_quick() {
        let body = vec![b'~'; 2_000_000];
        let stream = [b"\x1b[200~", body.as_slice(), PASTE_END].concat();
        assert_eq!(keys(&[&stream]), [TypedKey::Paste(body)]);
    }
}
