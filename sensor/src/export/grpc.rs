//! Sends what is in the outbox, in order, until the collector has it all; comes back after every failure.

mod in_flight;
mod session;

use std::sync::Arc;
use std::time::Duration;

use lynceus_model::time::WindowPlan;

use lynceus_proto::limits;
use lynceus_proto::v1::ingest_client::IngestClient;
use tokio::sync::watch;
use tonic::transport::Channel;

use self::session::Session;
use super::backoff::Backoff;
use super::counters::Counters;
use super::outbox::Outbox;
use super::target::Target;

/// How the sender behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// Unacknowledged bytes under way, whatever credit the collector grants. Bounds the sender's memory.
    pub max_in_flight: u64,
    /// Without any acknowledgement for so long a connection is given up.
    pub ack_timeout: Duration,
    pub first_wait: Duration,
    pub longest_wait: Duration,
    pub transport: Transport,
    /// Told to the collector, which refuses a sensor with other windows than its own.
    pub window_width: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// One long stream with a credit window.
    #[default]
    Stream,
    /// One call for each batch: slower, for networks that break long streams.
    Unary,
}

impl Default for SenderOptions {
    fn default() -> Self {
        Self {
            max_in_flight: 16 << 20,
            ack_timeout: Duration::from_secs(30),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(30),
            transport: Transport::Stream,
            window_width: Some(WindowPlan::DEFAULT_WIDTH),
        }
    }
}

/// What the sender is told by the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Command {
    #[default]
    Run,
    /// Nothing more will be stored: end when everything is acknowledged.
    Drain,
    /// End now.
    Stop,
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// As told.
    Told,
    Failed(anyhow::Error),
}

/// Runs until told otherwise. Dropping the sender of `commands` is [`Command::Stop`].
pub async fn run(
    outbox: Arc<Outbox>,
    target: Target,
    options: SenderOptions,
    mut commands: watch::Receiver<Command>,
) {
    let mut backoff = Backoff::new(options.first_wait, options.longest_wait);
    loop {
        let end = tokio::select! {
            end = attempt(&outbox, &target, options, commands.clone(), &mut backoff) => end,
            () = stopped(commands.clone()) => End::Told,
        };
        outbox
            .counters
            .connected
            .store(false, std::sync::atomic::Ordering::Relaxed);
        match end {
            End::Told => return,
            End::Failed(error) => {
                Counters::add(&outbox.counters.connect_failures, 1);
                let wait = backoff.next_wait();
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(
                    error = format!("{error:#}"),
                    wait_ms,
                    "no connection to the collector"
                );
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stopped(commands.clone()) => return,
                }
            }
        }
        // A drain with nothing left needs no collector.
        if *commands.borrow_and_update() == Command::Drain && outbox.is_empty() {
            return;
        }
    }
}

async fn attempt(
    outbox: &Arc<Outbox>,
    target: &Target,
    options: SenderOptions,
    commands: watch::Receiver<Command>,
    backoff: &mut Backoff,
) -> End {
    match connect(target).await {
        Err(error) => End::Failed(error),
        Ok(client) => {
            outbox.blocks.set_collector(target.addresses().await);
            let mut session = Session::new(Arc::clone(outbox), options, commands);
            let end = match options.transport {
                Transport::Stream => session.stream(client).await,
                Transport::Unary => session.unary(client).await,
            };
            if session.made_progress() {
                backoff.reset();
            }
            end
        }
    }
}

async fn connect(target: &Target) -> anyhow::Result<IngestClient<Channel>> {
    let channel = target.endpoint()?.connect().await?;
    Ok(IngestClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES))
}

/// Resolves when the command is [`Command::Stop`].
async fn stopped(mut commands: watch::Receiver<Command>) {
    // An error means that the program dropped its end.
    let _ = commands.wait_for(|command| *command == Command::Stop).await;
}
