//! Styled rows: which characters a captured row has, and which of them are ghost text (a composer's own suggestion).

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};

/// A row without escape sequences, and which of its characters are ghost text.
pub(super) struct Row {
    /// Each character, and whether it is ghost text.
    pub(super) chars: Vec<(char, bool)>,
}

impl Row {
    /// The row's text.
    pub(super) fn text(&self) -> String {
        self.chars.iter().map(|(c, _)| *c).collect()
    }

    /// The text from column `from` on that is not ghost text.
    pub(super) fn solid(&self, from: usize) -> String {
        self.chars.iter().skip(from).filter(|(_, ghost)| !ghost).map(|(c, _)| *c).collect()
    }
}

/// Splits styled text, as `capture-pane -e -p` gives it, into rows. `ghost` has the SGR colours of ghost text, each as
/// in `38;5;246`; faint text is ghost text too. `underlined`: the program draws its cursor by an underline. A style
/// continues from one row to the next.
pub(super) fn rows(styled: &str, ghost: &[String], underlined: bool) -> Vec<Row> {
    let mut style = Style::default();
    styled.lines().map(|line| row(line, ghost, underlined, &mut style)).collect()
}

fn row(line: &str, ghost: &[String], underlined: bool, style: &mut Style) -> Row {
    let mut row = StyledRow { ghost, style, cells: Vec::new() };
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    for byte in line.bytes() {
        parser.advance(&mut row, byte);
    }
    let cells = row.cells;
    let is_ghost = |at: usize| cells[at].1.faint || cells[at].1.ghost_colour;
    // A program that hides the terminal's cursor draws its own, over ghost text too.
    let is_drawn = |at: usize| cells[at].1.reverse || (cells[at].1.underline && underlined);
    let is_cursor = |at: usize| is_drawn(at) && at + 1 < cells.len() && is_ghost(at + 1) && !is_drawn(at + 1);
    Row { chars: (0..cells.len()).map(|at| (cells[at].0, is_ghost(at) || is_cursor(at))).collect() }
}

/// The parts of a character's style that matter here.
#[derive(Debug, Clone, Copy, Default)]
struct Style {
    faint: bool,
    ghost_colour: bool,
    reverse: bool,
    underline: bool,
}

/// A row while the parser goes over it.
struct StyledRow<'a> {
    ghost: &'a [String],
    style: &'a mut Style,
    cells: Vec<(char, Style)>,
}

impl Perform for StyledRow<'_> {
    fn print(&mut self, c: char) {
        self.cells.push((c, *self.style));
    }

    fn execute(&mut self, byte: u8) {
        // tmux switches character sets around line drawing by SO and SI; it sends no other control character but a tab.
        if byte == b'\t' {
            self.print('\t');
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], _ignore: bool, action: u8) {
        if action == b'm' {
            let parameters: Vec<u16> = params.iter().flatten().copied().collect();
            self.style.apply(&parameters, self.ghost);
        }
    }
}

impl Style {
    /// Applies the parameters of one SGR sequence.
    fn apply(&mut self, parameters: &[u16], ghost: &[String]) {
        if parameters.is_empty() {
            *self = Style::default();
        }
        let is_ghost = |colour: &[u16]| {
            let words: Vec<String> = colour.iter().map(u16::to_string).collect();
            ghost.contains(&words.join(";"))
        };
        let mut at = 0;
        while at < parameters.len() {
            // An extended colour is `38;5;N` or `38;2;R;G;B`.
            let end = parameters.len().min(at + if parameters.get(at + 1) == Some(&2) { 5 } else { 3 });
            match parameters[at] {
                0 => *self = Style::default(),
                2 => self.faint = true,
                22 => self.faint = false,
                4 => self.underline = true,
                24 => self.underline = false,
                7 => self.reverse = true,
                27 => self.reverse = false,
                38 => {
                    self.ghost_colour = is_ghost(&parameters[at..end]);
                    at = end - 1;
                }
                48 => at = end - 1,
                39 => self.ghost_colour = false,
                30..=37 | 90..=97 => self.ghost_colour = is_ghost(&parameters[at..=at]),
                _ => {}
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ghost_text_is_told_by_faint_or_colour_and_a_reset_ends_it() {
        let cases: &[(&str, &str)] = &[
            ("\u{1b}[2mghost\u{1b}[0mreal", "real"),
            ("\u{1b}[38;5;246mghost\u{1b}[39mreal", "real"),
            ("\u{1b}[38;5;247mreal", "real"),
            ("\u{1b}[38;2;1;2;246mreal", "real"),
            ("\u{1b}[48;5;2mreal", "real"),
            ("\u{1b}[2mghost\u{1b}[22mreal", "real"),
            ("\u{1b}[1;2mghost", ""),
            ("\u{1b}[7mg\u{1b}[27;2mhost\u{1b}[0m", ""),
            ("\u{1b}[7mg\u{1b}[0m", "g"),
            ("\u{1b}[4mg\u{1b}[24;2mhost\u{1b}[0m", ""),
            ("\u{1b}[4mg\u{1b}[0m", "g"),
            ("\u{1b}[2mghost\u{1b}[mreal", "real"),
            ("\u{1b}[38:5:246mghost\u{1b}[31mreal", "real"),
            ("\u{1b}(0\u{e}q\u{f}\u{1b}(Breal", "qreal"),
            ("real\u{1b}[38;5", "real"),
            ("\u{1b}]8;;http://host\u{1b}\\real\u{1b}]8;;\u{1b}\\", "real"),
        ];
        for (styled, solid) in cases {
            let rows = rows(styled, &["38;5;246".into()], true);
            assert_eq!(rows[0].solid(0), *solid, "{styled:?}");
        }
    }

    #[test]
    fn a_style_goes_on_in_the_next_row_and_wide_characters_are_kept() {
        let rows = rows("\u{1b}[2mghost\nmore\u{1b}[0m 漢字 é", &[], false);
        assert_eq!(
            (rows[0].solid(0), rows[1].solid(0), rows[1].text()),
            (String::new(), " 漢字 é".into(), "more 漢字 é".into())
        );
    }
}
