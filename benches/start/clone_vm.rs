//! Starting a program by `clone(CLONE_VM)` alone, as iapeer once did. For the measurement only.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Mutex;

/// Starts `program`; whether it can be executed is not known when this returns.
pub fn detached(program: &Path, arguments: &[OsString], environment: &[(OsString, OsString)]) {
    /// What the children read. The benchmark waits for each child before it starts the next: the newest is kept.
    static KEPT: Mutex<Option<Box<Start>>> = Mutex::new(None);
    let words = strings(std::iter::once(program.into()).chain(arguments.iter().cloned()));
    let variables =
        strings(environment.iter().map(|(name, value)| [name.as_os_str(), value.as_os_str()].join(OsStr::new("="))));
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").expect("/dev/null");
    let mut start = Box::new(Start {
        argv: pointers(&words),
        envp: pointers(&variables),
        _strings: [words, variables],
        null,
        stack: vec![0; 4096],
    });
    let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).expect("a signal mask");
    let top = start.stack.as_mut_ptr_range().end;
    let argument = std::ptr::from_mut(&mut *start).cast();
    // SAFETY: the child touches nothing but its stack and this `Start`, which is kept until the child has ended.
    let child = unsafe { libc::clone(become_program, top.cast(), libc::CLONE_VM | libc::SIGCHLD, argument) };
    blocked.thread_set_mask().expect("a signal mask");
    Errno::result(child).expect("a child");
    *KEPT.lock().expect("a lock") = Some(start);
}

/// What a child needs to become the program.
struct Start {
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    _strings: [Vec<CString>; 2],
    null: File,
    /// 64 KiB, aligned as a stack is.
    stack: Vec<u128>,
}

// SAFETY: the pointers lead to its own strings, on the heap.
unsafe impl Send for Start {}

extern "C" fn become_program(start: *mut libc::c_void) -> libc::c_int {
    // SAFETY: it points to the caller's `Start`, which stays until the child has ended; then plain system calls.
    unsafe {
        let start = &*start.cast::<Start>();
        libc::setsid();
        libc::chdir(c"/".as_ptr());
        for fd in 0..3 {
            libc::dup2(start.null.as_raw_fd(), fd);
        }
        for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
            libc::signal(signal as libc::c_int, libc::SIG_IGN);
            libc::signal(signal as libc::c_int, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, SigSet::empty().as_ref(), std::ptr::null_mut());
        libc::execve(start.argv[0], start.argv.as_ptr(), start.envp.as_ptr());
        libc::_exit(127)
    }
}

fn strings(words: impl Iterator<Item = OsString>) -> Vec<CString> {
    words.map(|word| CString::new(word.into_vec()).expect("no NUL")).collect()
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}
