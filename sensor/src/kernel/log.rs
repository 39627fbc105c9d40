//! Lines that the kernel programs write about refused and degraded packets, for who looks for a fault. They go to the
//! logger of the `log` crate, which `tracing-subscriber` installs beside its own.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aya_log::EbpfLogger;

/// A person reads the lines.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The kernel's ring of lines: 128 KiB. What finds no room there is not written; the counters tell of every packet.
pub struct KernelLog(pub(super) EbpfLogger<&'static dyn log::Log>);

impl fmt::Debug for KernelLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KernelLog")
    }
}

/// A thread that passes the lines on until it is dropped.
#[derive(Debug)]
pub struct LogThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    /// # Errors
    /// The system has no thread for it.
    pub fn start(mut log: KernelLog) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("lynceus-klog".to_owned())
            .spawn(move || {
                loop {
                    // Read before the last look, so that no line of a detached hook is left.
                    let last = stopped.load(Ordering::Acquire);
                    log.0.flush();
                    if last {
                        return;
                    }
                    std::thread::sleep(BETWEEN_LOOKS);
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It panicked where a line was none; there is nobody to tell.
            let _ = thread.join();
        }
    }
}
