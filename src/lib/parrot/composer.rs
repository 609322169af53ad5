//! The composer: the text that has been typed or pasted and is not submitted yet.

use super::text::{printable, wrap};

/// A paste with at least this many lines is shown as a mark.
const MARK_LINES: usize = 10;
/// A paste with more characters is shown as a mark.
const MARK_CHARS: usize = 800;

#[derive(Debug)]
enum Chunk {
    Typed(Vec<u8>),
    /// A large paste, shown as `[Pasted text #N +M lines]`.
    Marked {
        number: u64,
        bytes: Vec<u8>,
    },
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Typed(bytes) | Chunk::Marked { bytes, .. } => bytes,
        }
    }
}

/// The text being written. The bytes are kept exactly; the cursor is always at the end.
#[derive(Debug, Default)]
pub(crate) struct ParrotComposer {
    chunks: Vec<Chunk>,
    marks: u64,
}

impl ParrotComposer {
    /// Appends `bytes` as typed.
    pub(crate) fn insert(&mut self, bytes: &[u8]) {
        match self.chunks.last_mut() {
            Some(Chunk::Typed(typed)) => typed.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.chunks.push(Chunk::Typed(bytes.to_vec())),
        }
    }

    /// Appends a paste: in full view when small, as a mark when large.
    pub(crate) fn paste(&mut self, bytes: Vec<u8>) {
        let lines = newlines(&bytes) + 1;
        if lines >= MARK_LINES || String::from_utf8_lossy(&bytes).chars().count() > MARK_CHARS {
            self.marks += 1;
            self.chunks.push(Chunk::Marked { number: self.marks, bytes });
        } else {
            self.insert(&bytes);
        }
    }

    /// Removes the last character, or the last marked paste as a whole.
    pub(crate) fn backspace(&mut self) {
        match self.chunks.last_mut() {
            Some(Chunk::Typed(bytes)) => {
                // Removes the continuation bytes of UTF-8 and the leading byte before them.
                while bytes.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                if bytes.is_empty() {
                    self.chunks.pop();
                }
            }
            Some(Chunk::Marked { .. }) => {
                self.chunks.pop();
            }
            None => {}
        }
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether there is nothing but white space, which is not submitted.
    pub(crate) fn is_blank(&self) -> bool {
        self.chunks.iter().all(|chunk| String::from_utf8_lossy(chunk.bytes()).trim().is_empty())
    }

    /// The exact bytes; the composer is empty afterwards.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = self.chunks.iter().flat_map(|chunk| chunk.bytes()).copied().collect();
        self.clear();
        bytes
    }

    /// The text in rows of at most `columns`, the last `most` of them.
    pub(crate) fn rows(&self, columns: usize, most: usize) -> Vec<String> {
        let mut shown = String::new();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Typed(bytes) => shown.push_str(&printable(&String::from_utf8_lossy(bytes))),
                Chunk::Marked { number, bytes } => {
                    shown.push_str(&format!("[Pasted text #{number} +{} lines]", newlines(bytes)));
                }
            }
        }
        let mut rows = wrap(&shown, columns);
        rows.drain(..rows.len().saturating_sub(most.max(1)));
        rows
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let mut composer = ParrotComposer::default();
        composer.insert("é".as_bytes());
        composer.paste(b"\t\xff\n".to_vec());
        composer.paste(vec![b'x'; 200_000]);
        composer.insert(b"!");
        let taken = composer.take();
        assert_eq!(taken.len(), 2 + 3 + 200_000 + 1);
        assert!(taken.starts_with(b"\xc3\xa9\t\xff\nxx") && taken.ends_with(b"x!"));
        assert!(composer.is_empty() && composer.take().is_empty());
    }

    #[test]
    fn large_pastes_are_marks_and_small_ones_are_shown() {
        let rows: &[(String, &str)] = &[
            ("a\nb".into(), "a"),
            ("x\n".repeat(8), "x"),
            ("x\n".repeat(9), "[Pasted text #1 +9 lines]"),
            ("y".repeat(801), "[Pasted text #1 +0 lines]"),
            ("漢".repeat(801), "[Pasted text #1 +0 lines]"),
        ];
        for (text, first) in rows {
            let mut composer = ParrotComposer::default();
            composer.paste(text.clone().into_bytes());
            assert_eq!(composer.rows(100, 20)[0], *first);
            assert_eq!(composer.take(), text.as_bytes());
        }
        let mut composer = ParrotComposer::default();
        composer.paste(vec![b'y'; 800]);
        assert_eq!(composer.rows(100, 20).len(), 8, "800 characters are still shown");
        composer.paste(vec![b'y'; 801]);
        composer.clear();
        composer.paste(vec![b'y'; 801]);
        assert_eq!(composer.rows(100, 20), ["[Pasted text #2 +0 lines]"], "numbers go on");
    }

    #[test]
    fn backspace_takes_characters_and_whole_marks() {
        let mut composer = ParrotComposer::default();
        composer.insert("a漢".as_bytes());
        composer.paste(vec![b'z'; 900]);
        composer.backspace();
        composer.backspace();
        assert_eq!(composer.rows(10, 8), ["a"]);
        composer.backspace();
        composer.backspace();
        assert!(composer.is_empty());
    }

    #[test]
    fn white_space_is_blank_but_not_empty() {
        let mut composer = ParrotComposer::default();
        composer.insert(b" \n\t");
        assert!(composer.is_blank() && !composer.is_empty());
        composer.insert(b"x");
        assert!(!composer.is_blank());
    }

    #[test]
    fn only_the_last_rows_are_shown() {
        let mut composer = ParrotComposer::default();
        composer.insert(b"1\n2\n3\n4");
        assert_eq!(composer.rows(10, 2), ["3", "4"]);
        assert_eq!(ParrotComposer::default().rows(10, 8), [""]);
    }
}
