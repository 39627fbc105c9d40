//! The page of a collector in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use lynceus_collector::query::QueryService;
use lynceus_collector::web::{Listening, Web, WebConfig, WebOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::local::Local;

/// Where the page listens when nobody says otherwise: the port after the collector's.
const DEFAULT: &str = "127.0.0.1:7444";

/// Whether a command serves the page.
#[derive(Args, Clone, Debug, Default)]
pub struct WebArgs {
    /// Serve the page, on this machine only [default ADDR: 127.0.0.1:7444; port 0: a free one]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = DEFAULT)]
    web: Option<String>,
}

/// A page that is served until this goes.
pub struct Serving {
    runtime: Arc<Runtime>,
    task: JoinHandle<anyhow::Result<()>>,
    url: String,
}

impl WebArgs {
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.web.is_some()
    }

    /// Serves the page of `local`, where it is wanted.
    ///
    /// # Errors
    /// The address is taken, or others could reach it: for that there is the daemon, with tokens.
    pub fn serve(&self, local: &Local, options: WebOptions) -> anyhow::Result<Option<Serving>> {
        let Some(address) = &self.web else { return Ok(None) };
        let config = WebConfig {
            listen: address.clone(),
            ..WebConfig::default()
        };
        Serving::start(&config, local.collector().query(), options).map(Some)
    }
}

impl Serving {
    /// # Errors
    /// As [`WebArgs::serve`].
    pub fn start(config: &WebConfig, query: QueryService, options: WebOptions) -> anyhow::Result<Self> {
        let runtime = crate::cli::place::runtime()?;
        let web = Web::new(query, options)?;
        let listening: Listening = runtime
            .block_on(config.bind())
            .context("--web")?
            .context("--web: no address")?;
        let url = listening.url()?;
        let task = runtime.spawn(lynceus_collector::web::serve(
            web,
            listening,
            std::future::pending(),
        ));
        Ok(Self { runtime, task, url })
    }

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
