//! An output: dispatch appends to its spool, a thread of its own delivers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

use super::encode::{Item, Writer};
use super::send::{Failure, Sender};
use super::spool::Spool;
use super::{OutputConfig, Understood};
use crate::sink::Sink;

/// Messages of one delivery.
const BATCH: usize = 100;
const BATCH_BYTES: usize = 1 << 20;
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How long what waits may take at an orderly end; the rest stays in the spool.
const GOODBYE: Duration = Duration::from_secs(5);

/// What became of an output's messages since the start.
#[derive(Debug, Default)]
pub struct OutputCounters {
    pub delivered: AtomicU64,
    /// Refused by the receiver for good; not tried again.
    pub rejected: AtomicU64,
    /// Found no room in the spool.
    pub refused: AtomicU64,
    pub retries: AtomicU64,
    /// Bytes that wait.
    pub waiting: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    spool: Mutex<Spool>,
    news: Condvar,
    stopping: AtomicBool,
    counters: Arc<OutputCounters>,
}

/// A running output.
#[derive(Debug)]
pub struct Output {
    name: String,
    understood: Understood,
    with_evidence: bool,
    /// Address of this machine, if it has one beside loopback.
    ip: Option<IpAddr>,
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

impl Output {
    pub(super) fn start(config: &OutputConfig, understood: Understood, spool: &Path) -> anyhow::Result<Self> {
        let spool = Spool::open(spool, config.spool_mib << 20)?;
        let sender = Sender::new(config, understood.format, &understood.target)?;
        let inner = Arc::new(Inner {
            counters: Arc::new(OutputCounters {
                waiting: spool.bytes().into(),
                ..OutputCounters::default()
            }),
            spool: Mutex::new(spool),
            news: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new()
            .name(format!("out-{}", config.name))
            .spawn({
                let (inner, name) = (Arc::clone(&inner), config.name.clone());
                move || inner.deliver(&name, sender)
            })?;
        Ok(Self {
            name: config.name.clone(),
            understood,
            with_evidence: config.evidence,
            ip: own_address(),
            inner,
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn counters(&self) -> Arc<OutputCounters> {
        Arc::clone(&self.inner.counters)
    }

    fn take(&self, item: Item<'_>) -> io::Result<()> {
        if item.level() < self.understood.min_level {
            return Ok(());
        }
        let writer = Writer {
            ip: self.ip,
            at: Some(crate::now()),
        };
        let message = self.understood.format.encode_by(item, &writer);
        let mut spool = lock(&self.inner.spool);
        if !spool.push(&message)? {
            add(&self.inner.counters.refused);
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool is full"));
        }
        self.inner
            .counters
            .waiting
            .store(spool.bytes(), Ordering::Relaxed);
        drop(spool);
        self.inner.news.notify_one();
        Ok(())
    }
}

impl Sink for Output {
    fn name(&self) -> &str {
        &self.name
    }

    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()> {
        if !self.with_evidence {
            return Ok(());
        }
        self.take(Item::Evidence(evidence))
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.take(Item::Alert(alert))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::Release);
        self.inner.news.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(output = self.name, "the thread of an output panicked");
        }
    }
}

impl Inner {
    fn deliver(&self, name: &str, mut sender: Sender) {
        let mut wait = FIRST_RETRY;
        let mut end: Option<Instant> = None;
        loop {
            if self.stopping.load(Ordering::Acquire) && end.is_none() {
                end = Some(Instant::now() + GOODBYE);
            }
            let next = lock(&self.spool).peek(BATCH, BATCH_BYTES);
            let (messages, cursor) = match next {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(output = name, %error, "the spool cannot be read");
                    return;
                }
            };
            if messages.is_empty() {
                if end.is_some() {
                    return;
                }
                let spool = lock(&self.spool);
                // What came since the look is seen by the next one, after at most this time.
                let waited = self.news.wait_timeout(spool, Duration::from_millis(500));
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let failure = sender.send(&messages).err();
            match failure {
                None => self
                    .counters
                    .delivered
                    .fetch_add(messages.len() as u64, Ordering::Relaxed),
                Some(Failure::Rejected { why }) => {
                    tracing::error!(
                        output = name,
                        why,
                        messages = messages.len(),
                        "refused by the receiver"
                    );
                    self.counters
                        .rejected
                        .fetch_add(messages.len() as u64, Ordering::Relaxed)
                }
                Some(Failure::Later { why, after }) => {
                    if wait == FIRST_RETRY {
                        tracing::warn!(output = name, why, "not delivered; it waits in the spool");
                    }
                    add(&self.counters.retries);
                    if !self.pause(after.unwrap_or(wait).min(LAST_RETRY), end) {
                        return;
                    }
                    wait = (wait * 2).min(LAST_RETRY);
                    continue;
                }
            };
            wait = FIRST_RETRY;
            let mut spool = lock(&self.spool);
            if let Err(error) = spool.done(cursor) {
                tracing::error!(output = name, %error, "the spool cannot be written; messages may come twice");
            }
            self.counters.waiting.store(spool.bytes(), Ordering::Relaxed);
        }
    }

    /// Waits before the next try. `false`: the program ends before that.
    fn pause(&self, wait: Duration, end: Option<Instant>) -> bool {
        let until = Instant::now() + wait;
        loop {
            let now = Instant::now();
            if now >= until {
                return true;
            }
            let stopping = self.stopping.load(Ordering::Acquire);
            if end.map_or(stopping && until > now + GOODBYE, |end| now >= end) {
                return false;
            }
            std::thread::sleep((until - now).min(Duration::from_millis(100)));
        }
    }
}

/// The address from which this machine would call the Internet. A socket that is only connected sends nothing.
fn own_address() -> Option<IpAddr> {
    // TEST-NET-3 and its like (RFC 5737, RFC 3849): only the routing table is asked.
    let there: [(IpAddr, IpAddr); 2] = [
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(203, 0, 113, 1).into()),
        (
            Ipv6Addr::UNSPECIFIED.into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ),
    ];
    there.into_iter().find_map(|(own, other)| {
        let socket = UdpSocket::bind((own, 0)).ok()?;
        socket.connect((other, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
    })
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
