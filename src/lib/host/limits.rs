//! The kernel's resource limits of this process (getrlimit(2)), which its children inherit.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

/// How many open files a session may have at least, where the kernel allows it: what a login gives.
const FILES: rlim_t = 1024;
/// How large a stack may be at least.
const STACK: rlim_t = 8 << 20;
/// How many open files a program of ours needs: its streams, two locks, and three pipes to a tmux client.
pub(crate) const FILES_NEEDED: rlim_t = 24;

/// Lifts the limits that the caller may have set for itself: on processor time, memory and file sizes as far as the
/// kernel allows, on files and stack to what a login gives.
pub(crate) fn lift() {
    for resource in [Resource::RLIMIT_CPU, Resource::RLIMIT_FSIZE, Resource::RLIMIT_DATA, Resource::RLIMIT_AS] {
        raise(resource, RLIM_INFINITY);
    }
    raise(Resource::RLIMIT_NOFILE, FILES);
    raise(Resource::RLIMIT_STACK, STACK);
}

/// Raises a soft limit to `wanted`, or to the hard limit where this process may not go over that.
fn raise(resource: Resource, wanted: rlim_t) {
    let Ok((soft, hard)) = getrlimit(resource) else { return };
    if soft < wanted && setrlimit(resource, wanted, hard.max(wanted)).is_err() {
        let _ = setrlimit(resource, wanted.min(hard), hard);
    }
}

/// Limits that could not be lifted, in words: a session that this process starts has them too.
pub fn left() -> Option<String> {
    let named = [
        (Resource::RLIMIT_CPU, "seconds of processor time"),
        (Resource::RLIMIT_FSIZE, "bytes of a file"),
        (Resource::RLIMIT_DATA, "bytes of data"),
        (Resource::RLIMIT_AS, "bytes of memory"),
    ];
    let left: Vec<String> = named
        .into_iter()
        .filter_map(|(resource, what)| Some((getrlimit(resource).ok()?.0, what)))
        .filter(|(soft, _)| *soft != RLIM_INFINITY)
        .map(|(soft, what)| format!("{soft} {what}"))
        .collect();
    (!left.is_empty()).then(|| left.join(", "))
}

/// How many files this process may have open, where that is too few for a program of ours: it would fail at every tmux
/// call, and could not determine any peer's state. `None`: there are enough.
pub(crate) fn too_few_files() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    #[allow(clippy::useless_conversion, reason = "its width is the platform's")]
    (soft < FILES_NEEDED).then_some(soft.into())
}
