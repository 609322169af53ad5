//! Releases of tmux.

/// The oldest release that has all that iapeer uses (`capture-pane -e`, `pane-died`, `paste-buffer -p`, exact targets).
pub(crate) const OLDEST_TMUX: (u32, u32) = (3, 2);

/// The release, 3 and 3 for 3.3, of `tmux 3.3a`, `tmux next-3.6`.
pub(crate) fn release(said: &str) -> Option<(u32, u32)> {
    let number = said.rsplit(' ').next()?.trim_start_matches(|c: char| !c.is_ascii_digit());
    let (major, rest) = number.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_a_table() {
        for (said, found) in [
            ("tmux 3.3a\n", Some((3, 3))),
            ("tmux 3.7", Some((3, 7))),
            ("tmux next-3.10", Some((3, 10))),
            ("tmux openbsd-7.4", Some((7, 4))),
            ("tmux master", None),
            ("", None),
        ] {
            assert_eq!(release(said), found, "{said:?}");
        }
    }
}
