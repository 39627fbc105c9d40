//! CPU time as the kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// CPU time so far of a program's threads that live: of an agent that is ready, what loading and verifying its programs
/// took.
pub(super) fn threads_cpu(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let numbers = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = numbers.split_whitespace().next().context("schedstat is empty")?;
        sum += nanoseconds.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// CPU time of all children that were waited for.
pub(super) fn children_cpu() -> Result<Duration> {
    usage(libc::RUSAGE_CHILDREN)
}

pub(super) fn thread_cpu() -> Result<Duration> {
    usage(libc::RUSAGE_THREAD)
}

fn usage(who: libc::c_int) -> Result<Duration> {
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is that of one rusage that lives over the call.
    let result = unsafe { libc::getrusage(who, &raw mut usage) };
    ensure!(result == 0, "getrusage: {}", std::io::Error::last_os_error());
    let time = |value: libc::timeval| {
        Duration::from_secs(value.tv_sec.unsigned_abs()) + Duration::from_micros(value.tv_usec.unsigned_abs())
    };
    Ok(time(usage.ru_utime) + time(usage.ru_stime))
}
