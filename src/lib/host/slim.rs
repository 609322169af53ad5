//! Releases memory before a long wait: a program that sleeps for days should hold very little.

/// Gives back memory that can be restored: the resident pages of program files, which the kernel reads again when they
/// are next needed, and free heap.
pub fn slim() {
    #[cfg(target_os = "linux")]
    drop_file_pages();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only returns free memory.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Drops the pages of all unchanged read-only mappings of files (code, constants).
#[cfg(target_os = "linux")]
fn drop_file_pages() {
    use nix::libc;
    let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (from, to) in droppable(&smaps) {
        // SAFETY: the mapping is private, not writable, of a file, and the kernel says that none of its pages differs
        // from the file: what is dropped is read again on the next use. Relocated pages are anonymous and thus spared.
        unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED) };
    }
}

/// The address ranges of the mappings in `smaps` (proc(5)) that can be dropped without losing anything.
#[cfg(target_os = "linux")]
fn droppable(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current: Option<(usize, usize)> = None;
    let mut proofs = 0;
    for line in smaps.lines() {
        if let Some(range) = head(line) {
            found.extend(current.take().filter(|_| proofs == UNCHANGED.len()));
            proofs = 0;
            current = range;
        } else if UNCHANGED.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.trim() == "0 kB")) {
            proofs += 1;
        }
    }
    found.extend(current.filter(|_| proofs == UNCHANGED.len()));
    found
}

/// The fields that are zero for a mapping without changes. (`Private_Dirty` also counts pages of a file not yet on
/// disk.)
#[cfg(target_os = "linux")]
const UNCHANGED: [&str; 2] = ["Anonymous:", "Swap:"];

/// Parses the first line of a mapping: its range, if it is a private, read-only mapping of a file. `None`: another
/// line.
#[cfg(target_os = "linux")]
fn head(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    let rights = words.next()?;
    let inode = words.nth(2)?;
    Some((matches!(rights, "r--p" | "r-xp") && inode != "0" && from < to).then_some((from, to)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_read_only_file_mappings_are_dropped() {
        let block = |head: &str, dirty: u32| {
            format!("{head}\nRss: 8 kB\nPrivate_Dirty: {dirty} kB\nAnonymous: {dirty} kB\nSwap: 0 kB\nVmFlags: rd\n")
        };
        let smaps = [
            block("1000-2000 r-xp 00000000 fe:00 77 /bin/x", 0),
            block("2000-3000 r--p 00001000 fe:00 77 /bin/x", 4),
            block("3000-4000 rw-p 00002000 fe:00 77 /bin/x", 0),
            block("4000-5000 r--p 00000000 00:00 0 [vvar]", 0),
            block("5000-6000 r--p 00000000 fe:00 78 /lib/a b", 0),
        ]
        .concat();
        assert_eq!(droppable(&smaps), [(0x1000, 0x2000), (0x5000, 0x6000)]);
        assert!(droppable("torn").is_empty());
    }

    #[test]
    fn a_program_goes_on_after_it() {
        slim();
        assert_eq!(format!("{}", 6 * 7), "42");
    }
}
