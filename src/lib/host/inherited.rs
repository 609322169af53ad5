//! What a program of ours got from whoever started it, and must not pass on.

use nix::libc;

/// A variable of this prefix holds what the variable named behind it was before a peer's `launch.env` changed it for
/// that peer's session.
pub const BASE: &str = "IAP_BASE_";

/// To be called first, while the program has one thread: a descriptor that the caller left open (cron's lock, a pipe)
/// ends at the next exec instead of living as long as a tmux server does; and a program that runs inside a session
/// works with the environment that the session was launched from, since what it starts is another peer's.
pub fn disown() {
    close_on_exec();
    let given: Vec<_> = std::env::vars_os().collect();
    for (base, value) in given {
        let Some(name) = base.to_str().and_then(|name| name.strip_prefix(BASE)).filter(|name| !name.is_empty()) else {
            continue;
        };
        // SAFETY: no other thread reads the environment yet.
        unsafe {
            if value.is_empty() {
                std::env::remove_var(name)
            } else {
                std::env::set_var(name, value)
            }
            std::env::remove_var(&base);
        }
    }
}

fn close_on_exec() {
    // SAFETY: it touches no memory. By number: musl has no function for it.
    #[cfg(target_os = "linux")]
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) } == 0 {
        return;
    }
    // Linux before 5.11, macOS.
    for name in std::fs::read_dir("/dev/fd").into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd > 2) else { continue };
        // SAFETY: it touches no memory; a descriptor that is closed by now is an error that changes nothing.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
