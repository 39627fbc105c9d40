//! The daemon: services around the pipeline, and an orderly end.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lynceus_proto::limits;
use lynceus_proto::v1::control_server::ControlServer;
use lynceus_proto::v1::ingest_server::IngestServer;
use lynceus_proto::v1::module_server::ModuleServer;
use lynceus_proto::v1::query_server::QueryServer;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Status};

use crate::attach::ModuleService;
use crate::auth::Peer;
use crate::config::{Config, Engine, Listen, Tls};
use crate::control::service::ControlService;
use crate::control::{BlockSink, Control};
use crate::dispatch::{DispatchOptions, EngineOptions};
use crate::external::{Ear, External};
use crate::feeds::Keeper;
use crate::ingest::service::IngestService;
use crate::knowledge::Facts;
use crate::lookups::Lookups;
use crate::metrics;
use crate::pipeline::Collector;
use crate::query::QueryService;
use crate::sink::{JsonLines, LogLine, Sink};
use crate::store::{EmbeddedStore, RedisStore, Store};
use crate::web::{self, Web, WebOptions};

/// Between two writes of changed windows.
const CHECKPOINT: Duration = Duration::from_secs(30);
/// How long open connections may take to end.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs until `end` comes or the collector cannot go on: intake stops first, then what was accepted is finished.
///
/// # Errors
/// The store, an address or a certificate cannot be used, or the collector had to give up.
pub async fn run(config: Config, end: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let listen = config.listen()?;
    let (collector, keeper, control, ear) = tokio::task::spawn_blocking({
        let config = config.clone();
        move || open(&config)
    })
    .await??;
    let shared = collector.shared();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
        // The sender lives until the end of this function.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let http = match config.http_listen()? {
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("http_listen: {address}"))?;
            tracing::info!(address = %listener.local_addr()?, "metrics and health");
            let serve = axum::serve(listener, metrics::router(collector.query()));
            let http_until = until(stopped.clone());
            Some(tokio::spawn(async move {
                Ok(serve.with_graceful_shutdown(http_until).await?)
            }))
        }
        None => None,
    };
    let intake_bytes = config.intake.memory_mib << 20;
    let services = Services {
        ingest: IngestService::new(
            collector.ingest(),
            intake_bytes,
            Duration::from_secs(config.windows.width),
        )
        .with_control(Arc::clone(&control)),
        control: ControlService(Arc::clone(&control)),
        query: collector.query(),
        modules: ModuleService::new(
            collector.ingest(),
            collector.store(),
            config.group(),
            config.engine().plan,
            stopped.clone(),
        ),
    };
    let page = page(&config, &collector, Arc::clone(&control), until(stopped.clone())).await?;
    let ticking = tokio::spawn(tick(control));
    let listening = ear.map(|ear| {
        let (runtime, stopped) = (tokio::runtime::Handle::current(), stopped.clone());
        tokio::task::spawn_blocking(move || ear.run(&runtime, &stopped))
    });
    let mut grpc = tokio::spawn(serve(listen, config.tls.clone(), services, until(stopped)));
    let outcome = tokio::select! {
        () = end => Ok(()),
        ended = &mut grpc => ended?.and_then(|()| Err(anyhow::anyhow!("the gRPC server ended"))),
        () = gave_up(&shared) => Err(anyhow::anyhow!(shared.fatal().unwrap_or_default())),
    };
    tracing::info!("stopping: no more batches");
    // Receivers may be gone already.
    let _ = stop.send(true);
    let open_for = tokio::time::timeout(GOODBYE, async {
        if !grpc.is_finished() {
            let _ = (&mut grpc).await;
        }
    });
    if open_for.await.is_err() {
        grpc.abort();
    }
    ticking.abort();
    if let Some(listening) = listening {
        // A panic of it was told by the hook; what it did not take is taken after the next start.
        let _ = listening.await;
    }
    // Live streams have no end of their own.
    for task in [http, page].into_iter().flatten() {
        task.abort();
    }
    tokio::task::spawn_blocking(move || collector.shutdown()).await?;
    drop(keeper);
    tracing::info!("stopped");
    outcome
}

/// Serves the page in a task of its own, where it is wanted.
async fn page(
    config: &Config,
    collector: &Collector,
    control: Arc<Control>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<Option<tokio::task::JoinHandle<anyhow::Result<()>>>> {
    let Some(listening) = config.web.bind().await? else {
        return Ok(None);
    };
    let options = WebOptions {
        title: format!("collector, group {}", config.group),
        control: Some(control),
        tokens: config.web.tokens.clone(),
        hosts: config.web.hosts.clone(),
        secure: config.web.is_secure(),
        ..WebOptions::default()
    };
    let web = Web::new(collector.query(), options)?;
    tracing::info!(url = listening.url()?, "page");
    Ok(Some(tokio::spawn(web::serve(web, listening, stopped))))
}

/// Ends blocks when their time is over.
async fn tick(control: Arc<Control>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let control = Arc::clone(&control);
        let ticked = tokio::task::spawn_blocking(move || control.tick(crate::now())).await;
        if ticked.is_err() {
            tracing::error!("looking after blocks panicked");
        }
    }
}

type Opened = (Collector, Keeper, Arc<Control>, Option<Ear>);

fn open(config: &Config) -> anyhow::Result<Opened> {
    let store: Arc<dyn Store> = match config.store.engine {
        Engine::Embedded => Arc::new(EmbeddedStore::open(&config.embedded())?),
        Engine::Redis => Arc::new(RedisStore::open(&config.redis())?),
    };
    let status = store.status();
    tracing::info!(
        engine = status.engine,
        durability = status.durability.name(),
        entries = status.last_position.0,
        recovered_bytes = status.recovered_bytes,
        "store open"
    );
    let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(LogLine)];
    if let Some(directory) = &config.sinks.jsonl {
        let sink =
            JsonLines::open(directory).with_context(|| format!("sinks.jsonl: {}", directory.display()))?;
        sinks.push(Box::new(sink));
    }
    let control = Arc::new(Control::open(config.control(), Arc::clone(&store))?);
    if config.block.enabled && config.block.on_alert {
        sinks.push(Box::new(BlockSink(Arc::clone(&control))));
    }
    let mut outputs = Vec::new();
    for output in &config.outputs {
        let started = output.start(&config.spools())?;
        outputs.push((output.name.clone(), started.counters()));
        sinks.push(Box::new(started));
    }
    let facts = Arc::new(Facts::default());
    facts.set_published();
    let (feeds, whitelist) = (config.feeds.clone(), config.whitelist.clone());
    let keeper = Keeper::start(feeds, whitelist, &config.feed_cache(), Arc::clone(&facts), None)?;
    if let Some(lookups) = Lookups::start(&config.knowledge, &config.knowledge_state())? {
        facts.set_lookups(lookups);
    }
    let external = External::open(config)?;
    let names = external.as_ref().map(|external| external.names().to_vec());
    let options = DispatchOptions {
        engine: EngineOptions {
            facts,
            external,
            ..config.engine()
        },
        sinks,
        retention: config.retention(),
        checkpoint: CHECKPOINT,
    };
    let collector = Collector::start(store, options)?;
    collector.shared().counters.set_outputs(outputs);
    let ear = names
        .map(|names| Ear::open(&config.redis(), collector.ingest(), names))
        .transpose()?;
    Ok((collector, keeper, control, ear))
}

struct Services {
    ingest: IngestService,
    query: QueryService,
    control: ControlService,
    modules: ModuleService,
}

async fn serve(
    listen: Listen,
    tls: Option<Tls>,
    services: Services,
    stopped: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let ingest = IngestServer::new(services.ingest)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let query = QueryServer::new(services.query)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Zstd);
    let readers = |request: Request<()>| -> Result<Request<()>, Status> {
        Peer::of(&request).may_read()?;
        Ok(request)
    };
    let query = InterceptedService::new(query, readers);
    let control = InterceptedService::new(ControlServer::new(services.control), readers);
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)));
    if let Some(tls) = tls {
        server = server
            .tls_config(server_tls(&tls)?)
            .context("tls: the certificates cannot be used")?;
    }
    let modules = ModuleServer::new(services.modules)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let router = server
        .add_service(ingest)
        .add_service(query)
        .add_service(control)
        .add_service(modules);
    match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("listen: {address}"))?;
            tracing::info!(address = %listener.local_addr()?, "listening");
            router
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
                .await?;
        }
        Listen::Unix(path) => {
            let listener = bind(&path)?;
            tracing::info!(socket = %path.display(), "listening");
            router
                .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped)
                .await?;
            // A stale socket would be replaced at the next start anyway.
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// A socket that a dead collector left is replaced; one that answers is not.
fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    let place = || format!("listen: unix:{}", path.display());
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            anyhow::bail!("{}: somebody listens there already", place());
        }
        std::fs::remove_file(path).with_context(place)?;
    }
    UnixListener::bind(path).with_context(place)
}

fn server_tls(tls: &Tls) -> anyhow::Result<ServerTlsConfig> {
    let read = |name: &str, path: &Path| {
        std::fs::read(path).with_context(|| format!("tls.{name}: cannot read {}", path.display()))
    };
    let identity = Identity::from_pem(read("certificate", &tls.certificate)?, read("key", &tls.key)?);
    let client_ca = Certificate::from_pem(read("client_ca", &tls.client_ca)?);
    Ok(ServerTlsConfig::new()
        .identity(identity)
        .client_ca_root(client_ca))
}

async fn gave_up(shared: &crate::shared::Shared) {
    while shared.fatal().is_none() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
