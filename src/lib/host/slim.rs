//! Giving memory back before a long wait: a program that sleeps for days should hold next to nothing.

/// Gives back what can be had again: free heap pages, and the resident pages of program code, which the kernel reads
/// from the page cache when they run next.
pub fn slim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim only returns free memory.
    unsafe {
        nix::libc::malloc_trim(0);
    }
    #[cfg(target_os = "linux")]
    drop_code();
}

/// Drops the resident pages of all executable mappings of files. They are read-only and unchanged, so that what is
/// dropped is read again on the next use.
#[cfg(target_os = "linux")]
fn drop_code() {
    use nix::libc;
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some("r-xp"), Some(inode)) = (words.next(), words.next(), words.nth(2)) else { continue };
        let Some((from, to)) = range.split_once('-') else { continue };
        let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)) else { continue };
        if inode != "0" && to > from {
            // SAFETY: a private, read-only, executable mapping of a file has no changed pages to lose.
            unsafe { libc::madvise(from as *mut libc::c_void, to - from, libc::MADV_DONTNEED) };
        }
    }
}
