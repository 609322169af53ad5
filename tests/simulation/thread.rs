//! The threads on which programs run, and how one of them dies: as a killed process does, at once and without a
//! destructor.
//!
//! On Linux each thread has descriptors of its own, and a dead one's are closed by the kernel, which lets go of the
//! locks that it held. Elsewhere a death is a panic, and destructors run.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

/// What a thread is given to do.
pub type Job = Box<dyn FnOnce() + Send>;

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Runs `job` on a thread of its own; threads are kept for the next ones, since a history has hundreds.
pub fn on_a_thread(job: Job) {
    static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());
    let free = locked(&IDLE).pop();
    let to = free.unwrap_or_else(|| {
        let (to, jobs) = channel::<Job>();
        let own = to.clone();
        death::spawn(Box::new(move || {
            while let Ok(job) = jobs.recv() {
                job();
                locked(&IDLE).push(own.clone());
            }
        }));
        to
    });
    let _ = to.send(job);
}

#[cfg(target_os = "linux")]
pub use death::{drop_descriptors, vanish};

#[cfg(target_os = "linux")]
mod death {
    use super::{Job, locked};
    use nix::libc;
    use std::collections::HashMap;
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::Mutex;
    use std::thread::{JoinHandle, ThreadId};

    static THREADS: Mutex<Option<HashMap<ThreadId, JoinHandle<()>>>> = Mutex::new(None);
    static DEAD: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

    pub fn spawn(run: Job) {
        // What dead threads leave is their stacks.
        for id in locked(&DEAD).drain(..) {
            if let Some(dead) = locked(&THREADS).get_or_insert_default().remove(&id) {
                // SAFETY: the thread is ours, it is not joined anywhere else, and nobody asks for its result.
                unsafe { libc::pthread_join(dead.into_pthread_t(), std::ptr::null_mut()) };
            }
        }
        let thread = std::thread::spawn(move || {
            // SAFETY: it only separates this thread's descriptors from the others'.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0, "a thread takes descriptors of its own");
            // Copies of what whoever started this thread had open; with them a dead program's locks would live on.
            drop_descriptors();
            run();
        });
        locked(&THREADS).get_or_insert_default().insert(thread.thread().id(), thread);
    }

    /// Closes every descriptor of this thread but the first three: the kernel lets go of the locks on them.
    pub fn drop_descriptors() {
        // SAFETY: the descriptors are this thread's own, and no value that has one is used in it any more.
        assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) }, 0, "the descriptors are closed");
    }

    /// Unmaps the stack for signals that the standard library gives each thread, with the guard page below it: a destructor
    /// would do so, and a process may have some 65,000 mappings.
    fn drop_signal_stack() {
        // SAFETY: the calls are given valid places to read and write; the mapping is that of `std::sys::thread`, one page
        // of guard and the stack, which nothing uses once it is disabled.
        unsafe {
            let mut old: libc::stack_t = std::mem::zeroed();
            let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
            if libc::sigaltstack(&raw const none, &raw mut old) == 0 && old.ss_flags & libc::SS_DISABLE == 0 {
                let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
                libc::munmap(old.ss_sp.byte_sub(page), old.ss_size + page);
            }
        }
    }

    /// Ends this thread as a kill ends a process.
    pub fn vanish() -> ! {
        locked(&DEAD).push(std::thread::current().id());
        drop_signal_stack();
        // SAFETY: the system call ends this thread and nothing else. What it owned stays allocated and is never used;
        // it holds no lock that another thread waits for.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!("a thread that has ended goes on");
    }
}

/// The panic by which a program dies where its destructors run.
pub struct Killed;

#[cfg(not(target_os = "linux"))]
mod death {
    pub fn spawn(run: super::Job) {
        std::thread::spawn(run);
    }
}
