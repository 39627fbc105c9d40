//! The page of a collector in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use lynceus_collector::query::QueryService;
use lynceus_collector::web::{Listening, Web, WebOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Where the page listens when nobody says otherwise: the port after the collector's.
const DEFAULT: &str = "127.0.0.1:7444";

/// Whether a command serves the page.
#[derive(Args, Clone, Debug, Default)]
pub struct WebArgs {
    /// Serve the page, on this machine only [default ADDR: 127.0.0.1:7444; port 0: a free one]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    web: Option<String>,
}

/// A socket that is bound, before there is something to show.
pub struct Door {
    runtime: Arc<Runtime>,
    listening: Listening,
}

/// A page that is served until this goes.
pub struct Serving {
    runtime: Arc<Runtime>,
    task: JoinHandle<anyhow::Result<()>>,
    url: String,
}

impl WebArgs {
    /// Binds the address of the page, where it is wanted: before files are read, which may take long.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn open(&self) -> anyhow::Result<Option<Door>> {
        let open = |address: &String| Door::open("--web", address);
        self.web.as_ref().map(open).transpose()
    }
}

impl Door {
    /// `flag`: where the address comes from, for messages.
    ///
    /// # Errors
    /// The address is taken, or others could reach it: for that there is the daemon, with tokens.
    pub fn open(flag: &'static str, address: &str) -> anyhow::Result<Self> {
        let runtime = crate::cli::place::runtime()?;
        let listening = runtime.block_on(Listening::here(address)).context(flag)?;
        Ok(Self { runtime, listening })
    }

    /// Serves the page of a store.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn serve(self, query: QueryService, options: WebOptions) -> anyhow::Result<Serving> {
        let Self { runtime, listening } = self;
        let web = Web::new(query, options)?;
        let url = listening.url()?;
        let task = runtime.spawn(lynceus_collector::web::serve(
            web,
            listening,
            std::future::pending(),
        ));
        Ok(Serving { runtime, task, url })
    }
}

impl Serving {
    /// Address for a browser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until `stop` or until the server fails.
    ///
    /// # Errors
    /// The server failed.
    pub fn wait(mut self, stop: &AtomicBool) -> anyhow::Result<()> {
        let task = &mut self.task;
        let ended: Option<anyhow::Result<()>> = self.runtime.block_on(async {
            tokio::select! {
                ended = task => Some(ended.context("the page's task").flatten()),
                () = stopped(stop) => None,
            }
        });
        ended.unwrap_or(Ok(()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_refused_in_the_words_of_the_flag() {
        let refused = |address: &str| format!("{:#}", Door::open("--listen", address).err().unwrap());
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            let why = refused(address);
            assert!(
                why.starts_with(&format!("--listen: {address}: only 127.0.0.1")),
                "{why}"
            );
            assert!(!why.contains("tokens") && !why.contains("--web"), "{why}");
        }
        assert!(
            refused("7444").starts_with("--listen: 7444: no address as"),
            "{}",
            refused("7444")
        );
        let door = Door::open("--listen", "127.0.0.1:0").unwrap();
        let url = door.listening.url().unwrap();
        let taken = refused(url.trim_start_matches("http://").trim_end_matches('/'));
        assert!(taken.contains("in use"), "{taken}");
    }
}
