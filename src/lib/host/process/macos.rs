//! Facts about processes from `libproc` (proc_pidinfo, proc_listallpids).

use super::stat::Stat;
use nix::libc;
use std::mem;

/// The information of kind `flavor` that the kernel has about a process.
///
/// # Safety
/// `T` is the plain C struct that proc_pidinfo(pid, `flavor`) writes.
unsafe fn told<T>(pid: i32, flavor: libc::c_int) -> Option<T> {
    let size = mem::size_of::<T>() as libc::c_int;
    // SAFETY: zeroed is a valid value of a plain C struct, and proc_pidinfo writes at most its size.
    let (info, written) = unsafe {
        let mut info: T = mem::zeroed();
        let written = libc::proc_pidinfo(pid, flavor, 0, (&raw mut info).cast(), size);
        (info, written)
    };
    (written == size).then_some(info)
}

pub(crate) fn stat(pid: i32) -> Option<Stat> {
    // SAFETY: this flavor writes this struct.
    let info: libc::proc_bsdinfo = unsafe { told(pid, libc::PROC_PIDTBSDINFO) }?;
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).map_or(0, nix::unistd::Pid::as_raw);
    Some(Stat {
        zombie: info.pbi_status == libc::SZOMB,
        stopped: info.pbi_status == libc::SSTOP,
        parent: info.pbi_ppid as i32,
        session,
        start: info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec,
    })
}

/// The name of its program.
pub(crate) fn name(pid: i32) -> Option<String> {
    let mut name = [0_u8; 64];
    // SAFETY: proc_name writes at most as many bytes as it is told.
    let length = unsafe { libc::proc_name(pid, name.as_mut_ptr().cast(), name.len() as u32) };
    let length = usize::try_from(length).ok().filter(|length| (1..=name.len()).contains(length))?;
    Some(String::from_utf8_lossy(&name[..length]).into_owned())
}

/// What it uses: resident memory in bytes, and CPU time so far in clock ticks of `per_second`. `None` for a process of
/// another user.
pub(crate) fn used(pid: i32, per_second: u64) -> Option<(u64, u64)> {
    // SAFETY: this flavor writes this struct.
    let info: libc::proc_taskinfo = unsafe { told(pid, libc::PROC_PIDTASKINFO) }?;
    let (numerator, denominator) = timebase();
    let time = u128::from(info.pti_total_user) + u128::from(info.pti_total_system);
    let ticks = time * u128::from(numerator) * u128::from(per_second) / (u128::from(denominator) * 1_000_000_000);
    Some((info.pti_resident_size, u64::try_from(ticks).unwrap_or(u64::MAX)))
}

/// The fraction (numerator, denominator) by which the times of a task are multiplied to get nanoseconds. The times are
/// in units of mach_absolute_time: 1 ns on Intel's processors, 125/3 ns on Apple's.
#[allow(deprecated)] // in favour of a crate, for this one function
fn timebase() -> (u32, u32) {
    let mut info = libc::mach_timebase_info { numer: 1, denom: 1 };
    // SAFETY: the call writes these two numbers.
    unsafe { libc::mach_timebase_info(&raw mut info) };
    (info.numer, info.denom.max(1))
}

/// macOS does not tell.
pub(crate) fn wait_channel(_pid: i32) -> Option<String> {
    None
}

pub(crate) fn pids() -> Vec<i32> {
    let mut pids = vec![0_i32; 16_384];
    let size = (pids.len() * mem::size_of::<i32>()) as libc::c_int;
    // SAFETY: the buffer is as large as said.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).unwrap_or(0));
    pids
}

/// macOS does not tell. Its `posix_spawn` makes the process and executes the program in one step.
pub(crate) fn has_executed(_pid: i32) -> Option<bool> {
    None
}

pub(crate) fn boot_id() -> Option<String> {
    let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
