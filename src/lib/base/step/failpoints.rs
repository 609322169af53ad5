//! The environment variables by which a build with the feature `failpoints` is told what to do at its steps:
//!
//! ```text
//! IAPEER_FAILPOINT=[PROGRAM/]NAME[:N]       die (abort) at the N-th passing of NAME: `before.POINT` or `after.POINT`
//! IAPEER_FAILPOINT=list                     print every NAME, and leave
//! IAPEER_FAULT=[PROGRAM/]OP:N:ERRNO         fail the N-th step of the kind OP with ERRNO (a write: after half of it)
//! IAPEER_FAULT_MARK, IAPEER_FAILPOINT_MARK  a file that is made at the fault or death; if it exists, neither happens
//! IAPEER_PANIC=PLACE[:N]                    panic at the N-th passing of a place that `panic_point` names
//! IAPEER_TRACE=FILE                         append each step that was made to FILE, as a line of JSON
//! ```
//!
//! A test that calls the library may watch the steps of its own thread instead ([`watch`]).

use super::point::{Act, Point};
use nix::errno::Errno;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, PoisonError};

/// A function that watches the steps of a thread: it is called before each step.
pub(crate) type Watcher = Rc<dyn Fn(Point, &Act<'_>)>;

thread_local! {
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// Has `watcher` called before each step that this thread makes.
pub fn watch(watcher: Option<Watcher>) {
    WATCHER.set(watcher);
}

impl Act<'_> {
    /// The word for the step's kind, as `IAPEER_FAULT` has it.
    pub fn op(&self) -> &'static str {
        match self {
            Act::Open(_) => "open",
            Act::Write(..) => "write",
            Act::Truncate(..) => "truncate",
            Act::Sync(_) | Act::SyncDir(_) => "fsync",
            Act::Link(..) => "link",
            Act::Rename(..) => "rename",
            Act::Unlink(_) => "unlink",
            Act::Mkdir(_) => "mkdir",
            Act::Rmdir(_) => "rmdir",
            Act::Lock(_) => "lock",
        }
    }
}

/// Every name that `IAPEER_FAILPOINT` takes.
pub fn names() -> impl Iterator<Item = String> {
    Point::ALL.iter().flat_map(|point| ["before", "after"].map(|moment| format!("{moment}.{}", point.name())))
}

/// Prints [`names`] where the environment asks for them, and says whether it does.
pub fn listed() -> bool {
    let asked = std::env::var_os("IAPEER_FAILPOINT").is_some_and(|given| given == "list");
    if asked {
        names().for_each(crate::base::output::say);
    }
    asked
}

/// What the environment asks for.
#[derive(Default)]
struct Plan {
    kill: Option<(String, u32)>,
    fault: Option<(String, u32, Errno)>,
    trace: Option<PathBuf>,
    panic: Option<(String, u32)>,
}

fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Plan {
    /// A request that can't be read asks for nothing: the test that made it sees that nothing happened.
    fn read() -> Plan {
        let given = |name| std::env::var(name).ok();
        let ours = |text: String| match text.split_once('/') {
            Some((of, rest)) => (of == program()).then(|| rest.to_owned()),
            None => Some(text),
        };
        let nth = |text: String| match text.split_once(':') {
            Some((name, n)) => (name.to_owned(), n.parse().unwrap_or(0)),
            None => (text, 1),
        };
        let kill = given("IAPEER_FAILPOINT").and_then(ours).map(nth);
        let fault = given("IAPEER_FAULT").and_then(ours).and_then(|text| {
            let mut parts = text.split(':');
            let (op, n) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
            let errno = match parts.next()? {
                "EIO" => Errno::EIO,
                "ENOSPC" => Errno::ENOSPC,
                "EACCES" => Errno::EACCES,
                "EROFS" => Errno::EROFS,
                _ => return None,
            };
            Some((op, n, errno))
        });
        Plan { kill, fault, trace: given("IAPEER_TRACE").map(PathBuf::from), panic: given("IAPEER_PANIC").map(nth) }
    }
}

/// How often this program has passed each of the places that the plan names.
struct Count {
    kill: u32,
    fault: u32,
    panic: u32,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
static COUNT: Mutex<Count> = Mutex::new(Count { kill: 0, fault: 0, panic: 0 });

fn count() -> std::sync::MutexGuard<'static, Count> {
    COUNT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Claims what is to happen once: true where this call made the file that `variable` names, or where none is named.
fn once(variable: &str, what: &str) -> bool {
    let Some(path) = std::env::var_os(variable) else { return true };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.is_ok_and(|mut file| file.write_all(format!("{} {what}\n", program()).as_bytes()).is_ok())
}

fn die_at(plan: &Plan, moment: &str, point: Point) {
    let Some((name, nth)) = &plan.kill else { return };
    if name.strip_prefix(moment).and_then(|rest| rest.strip_prefix('.')) != Some(point.name()) {
        return;
    }
    let passed = {
        let mut count = count();
        count.kill += 1;
        count.kill
    };
    if passed == *nth && once("IAPEER_FAILPOINT_MARK", name) {
        // As little of the program runs after this as after a SIGKILL.
        std::process::abort();
    }
}

fn fault_at(plan: &Plan, act: &Act<'_>) -> Option<io::Error> {
    let (op, nth, errno) = plan.fault.as_ref()?;
    if op != act.op() {
        return None;
    }
    let passed = {
        let mut count = count();
        count.fault += 1;
        count.fault
    };
    (passed == *nth && once("IAPEER_FAULT_MARK", op)).then(|| (*errno).into())
}

/// Panics where the environment asks for it at the place `name`.
pub(super) fn panic_at(name: &str) {
    let Some((wanted, nth)) = &PLAN.get_or_init(Plan::read).panic else { return };
    if wanted != name {
        return;
    }
    let passed = {
        let mut count = count();
        count.panic += 1;
        count.panic
    };
    assert_ne!(passed, *nth, "asked for at {name}");
}

#[track_caller]
pub(super) fn step<T>(point: Point, act: Act<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let watcher = WATCHER.with_borrow(Clone::clone);
    if let Some(watcher) = watcher {
        watcher(point, &act);
    }
    let plan = PLAN.get_or_init(Plan::read);
    let site = Location::caller();
    die_at(plan, "before", point);
    if let Some(error) = fault_at(plan, &act) {
        if let Act::Write(path, place, bytes) = act {
            let mut options = OpenOptions::new();
            let file = if place.is_none() { options.append(true) } else { options.write(true) }.open(path);
            let _ = file.and_then(|mut file| file.write_all(&bytes[..bytes.len() / 2]));
        }
        return Err(error);
    }
    let result = match &plan.trace {
        None => run(),
        Some(trace) => traced(trace, point, site, &act, run),
    };
    die_at(plan, "after", point);
    result
}

/// Makes a step and records it, under a lock that all programs share: the records are in the order of the steps.
fn traced<T>(
    trace: &Path,
    point: Point,
    site: &Location<'_>,
    act: &Act<'_>,
    run: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(trace)?;
    let one = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let new = matches!(act, Act::Open(path) if !path.exists());
    let result = run();
    if result.is_ok() {
        let (path, to, at, bytes): (&Path, Option<&Path>, Option<u64>, &[u8]) = match act {
            Act::Write(path, at, bytes) => (path, None, *at, bytes),
            Act::Truncate(path, len) => (path, None, Some(*len), &[]),
            Act::Link(from, to) | Act::Rename(from, to) => (from, Some(to), None, &[]),
            Act::Open(path)
            | Act::Sync(path)
            | Act::SyncDir(path)
            | Act::Unlink(path)
            | Act::Mkdir(path)
            | Act::Rmdir(path)
            | Act::Lock(path) => (path, None, None, &[]),
        };
        let line = serde_json::json!({
            "program": program(), "pid": std::process::id(), "point": point.name(), "op": act.op(),
            "dir": matches!(act, Act::SyncDir(_)), "new": new,
            "site": format!("{}:{}", site.file(), site.line()),
            "path": path, "to": to, "at": at, "bytes": String::from_utf8_lossy(bytes),
        });
        (&*one).write_all(format!("{line}\n").as_bytes())?;
    }
    drop::<nix::fcntl::Flock<File>>(one);
    result
}
