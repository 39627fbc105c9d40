//! Ctrl-C and SIGTERM as a flag, so that a command can end with its accounting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;

/// A flag that Ctrl-C or SIGTERM sets; a second one ends the program at once, as usual.
///
/// # Errors
/// The handlers cannot be put in place.
pub(super) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("start the signal handler")?;
    // Both handlers are in place when this returns, so that no early signal kills a capture without its accounting.
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                for times in 0..2 {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if times == 1 {
                        std::process::exit(130);
                    }
                    told.store(true, Ordering::Release);
                }
            });
        })
        .context("start the signal handler")?;
    Ok(stop)
}
