//! From messages to rows: what belongs together waits until the flow ends.

mod alone;

use std::collections::{BTreeMap, HashMap, VecDeque};

use lynceus_model::app::{
    AppEvent, AppRecord, Certificate, Dns, DnsData, HttpRequest, HttpResponse, TlsClient, TlsServer,
};
use lynceus_model::flow::CommunityId;
use lynceus_model::seeded::Seeded;

use self::alone::alone;
use super::columns::{DNS, HTTP, Log, QUIC, SSH, SSL, X509};
use super::conn::name_of;
use super::table::{Row, Value};
use super::uid;

/// Messages of open flows.
#[derive(Debug, Default)]
pub(super) struct Open {
    flows: HashMap<CommunityId, Flow, Seeded>,
    /// By the number of their first message: the one that waits longest first.
    order: BTreeMap<u64, CommunityId>,
    messages: u64,
    early: u64,
}

#[derive(Debug)]
struct Flow {
    number: u64,
    queries: Vec<AppRecord>,
    requests: VecDeque<AppRecord>,
    hello: Option<AppRecord>,
    answer: Option<TlsServer>,
    certificate: Option<Certificate>,
    ssh: Option<(AppRecord, [Option<String>; 4])>,
    depth: u64,
}

impl Open {
    /// Flows that wait, at some 0.5 to 2 kB each. Beyond, the one that waits longest is written as it is.
    const MAX_FLOWS: usize = 65_536;
    /// Messages of one kind that wait in a flow; then the first is written without its answer.
    const MAX_WAITING: usize = 64;

    /// Takes a message; gives the rows that nothing more belongs to.
    pub(super) fn take(&mut self, record: &AppRecord) -> Vec<Row> {
        let mut rows = Vec::new();
        let (Some(id), true) = (record.community_id, waits(&record.event)) else {
            return alone(record);
        };
        if !self.flows.contains_key(&id) {
            if self.flows.len() >= Self::MAX_FLOWS
                && let Some((_, oldest)) = self.order.pop_first()
                && let Some(flow) = self.flows.remove(&oldest)
            {
                self.early += 1;
                rows.extend(flow.rows());
            }
            self.order.insert(self.messages, id);
        }
        let flow = self.flows.entry(id).or_insert_with(|| Flow::new(self.messages));
        self.messages += 1;
        rows.extend(flow.take(record));
        rows
    }

    /// The flow is over.
    pub(super) fn end(&mut self, id: &CommunityId) -> Vec<Row> {
        let Some(flow) = self.flows.remove(id) else {
            return Vec::new();
        };
        self.order.remove(&flow.number);
        flow.rows()
    }

    /// All that wait, the longest first.
    pub(super) fn all(&mut self) -> Vec<Row> {
        let order = std::mem::take(&mut self.order);
        let flows = order.into_values().filter_map(|id| self.flows.remove(&id));
        flows.flat_map(Flow::rows).collect()
    }

    /// Flows that had to be written before they were over.
    pub(super) const fn early(&self) -> u64 {
        self.early
    }
}

const fn waits(event: &AppEvent) -> bool {
    matches!(
        event,
        AppEvent::Dns(_)
            | AppEvent::HttpRequest(_)
            | AppEvent::HttpResponse(_)
            | AppEvent::TlsClient(_)
            | AppEvent::TlsServer(_)
            | AppEvent::Certificate(_)
            | AppEvent::Ssh(_)
            | AppEvent::SshKeyExchange(_)
            | AppEvent::SshLogin(_)
    )
}

impl Flow {
    const fn new(number: u64) -> Self {
        Self {
            number,
            queries: Vec::new(),
            requests: VecDeque::new(),
            hello: None,
            answer: None,
            certificate: None,
            ssh: None,
            depth: 0,
        }
    }

    fn take(&mut self, record: &AppRecord) -> Option<Row> {
        match &record.event {
            AppEvent::Dns(message) if message.response => {
                let asked = |query: &AppRecord| matches!(&query.event, AppEvent::Dns(query) if query.id == message.id);
                let query = self
                    .queries
                    .iter()
                    .position(asked)
                    .map(|at| self.queries.remove(at));
                Some(dns(query.as_ref().unwrap_or(record), message, query.is_some()))
            }
            AppEvent::Dns(_) => {
                let full = self.queries.len() >= Open::MAX_WAITING;
                let first = full.then(|| self.queries.remove(0));
                self.queries.push(record.clone());
                first.as_ref().and_then(unanswered)
            }
            AppEvent::HttpRequest(_) => {
                let full = self.requests.len() >= Open::MAX_WAITING;
                let first = if full { self.requests.pop_front() } else { None };
                self.requests.push_back(record.clone());
                first.map(|request| self.http(&request, None))
            }
            AppEvent::HttpResponse(response) => {
                let request = self.requests.pop_front();
                Some(self.http(request.as_ref().unwrap_or(record), Some(response)))
            }
            AppEvent::TlsClient(_) => {
                // A second hello begins a new handshake only in another flow; a repetition says nothing new.
                self.hello.get_or_insert_with(|| record.clone());
                None
            }
            AppEvent::TlsServer(server) => {
                self.hello.get_or_insert_with(|| record.clone());
                self.answer.get_or_insert_with(|| server.clone());
                None
            }
            AppEvent::Certificate(certificate) => {
                self.hello.get_or_insert_with(|| record.clone());
                self.certificate.get_or_insert_with(|| (**certificate).clone());
                None
            }
            AppEvent::Ssh(banner) => {
                self.ssh(record)[usize::from(record.from_responder)] = Some(banner.banner.clone());
                None
            }
            AppEvent::SshKeyExchange(exchange) => {
                self.ssh(record)[2 + usize::from(record.from_responder)] = Some(exchange.hassh.clone());
                None
            }
            AppEvent::SshLogin(_) => {
                let known = self.ssh(record).clone();
                self.ssh = Some((record.clone(), known));
                None
            }
            _ => None,
        }
    }

    /// Banners of client and server, then their fingerprints.
    fn ssh(&mut self, record: &AppRecord) -> &mut [Option<String>; 4] {
        &mut self
            .ssh
            .get_or_insert_with(|| (record.clone(), Default::default()))
            .1
    }

    fn http(&mut self, record: &AppRecord, response: Option<&HttpResponse>) -> Row {
        self.depth += 1;
        let request = match &record.event {
            AppEvent::HttpRequest(request) => request.clone(),
            _ => HttpRequest::default(),
        };
        let mut row = begin(&HTTP, record);
        let asked = !request.method.is_empty();
        row.put("trans_depth", Some(self.depth))
            .put("method", asked.then_some(request.method))
            .put("host", request.host)
            .put("uri", asked.then_some(request.uri))
            .put("user_agent", request.user_agent)
            .put("request_body_len", request.content_length);
        if let Some(response) = response {
            row.put("status_code", Some(response.status))
                .put("response_body_len", response.content_length)
                .put("resp_mime_types", response.mime.clone().map(|mime| vec![mime]));
        }
        row
    }

    fn rows(mut self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.queries.iter().filter_map(unanswered).collect();
        while let Some(request) = self.requests.pop_front() {
            rows.push(self.http(&request, None));
        }
        if let Some(hello) = &self.hello {
            rows.extend(self.tls(hello));
        }
        if let Some((record, [client, server, hassh, hassh_server])) = &self.ssh {
            let mut row = begin(&SSH, record);
            if let AppEvent::SshLogin(login) = &record.event {
                row.put("auth_success", login.success)
                    .put("auth_attempts", login.attempts)
                    .put("client", login.client.clone())
                    .put("server", login.server.clone());
            }
            row.put("client", client.clone())
                .put("server", server.clone())
                .put("hassh", hassh.clone())
                .put("hasshServer", hassh_server.clone());
            rows.push(row);
        }
        rows
    }

    fn tls(&self, record: &AppRecord) -> Vec<Row> {
        let hello = match &record.event {
            AppEvent::TlsClient(hello) => hello.clone(),
            _ => TlsClient::default(),
        };
        if hello.quic || self.answer.as_ref().is_some_and(|server| server.quic) {
            let mut row = begin(&QUIC, record);
            row.put("server_name", hello.server_name)
                .put("client_protocol", hello.alpn.into_iter().next());
            return vec![row];
        }
        let mut row = begin(&SSL, record);
        row.put("server_name", hello.server_name)
            .put("ja3", known(&hello.ja3))
            .put("ja4", known(&hello.ja4));
        if let Some(server) = &self.answer {
            row.put("version", version(server.version))
                .put(
                    "cipher",
                    (server.cipher != 0).then(|| format!("0x{:04x}", server.cipher)),
                )
                .put("next_protocol", server.alpn.clone())
                .put("ja3s", known(&server.ja3s));
        }
        let mut rows = Vec::new();
        if let Some(certificate) = &self.certificate {
            row.put(
                "cert_chain_fps",
                certificate.sha256.clone().map(|print| vec![print]),
            )
            .put("subject", known(&certificate.subject))
            .put("issuer", known(&certificate.issuer))
            .put("validation_status", validation(certificate));
            rows.extend(x509(record, certificate));
        }
        rows.push(row);
        rows
    }
}

/// Where nobody checked the chain, that a certificate is its own issuer is still known.
fn validation(certificate: &Certificate) -> Option<String> {
    let own = || (certificate.self_signed == Some(true)).then(|| "self signed certificate".to_owned());
    certificate.validation.clone().or_else(own)
}

fn x509(record: &AppRecord, certificate: &Certificate) -> Option<Row> {
    let print = certificate.sha256.clone()?;
    let mut row = Row::new(&X509);
    row.put("ts", Some(record.time))
        .put("fingerprint", Some(print))
        .put("certificate.subject", known(&certificate.subject))
        .put("certificate.issuer", known(&certificate.issuer))
        .put("certificate.not_valid_before", certificate.not_before)
        .put("certificate.not_valid_after", certificate.not_after)
        .put(
            "san.dns",
            (!certificate.names.is_empty()).then(|| certificate.names.clone()),
        )
        .put("host_cert", Some(true))
        .put("client_cert", Some(false));
    Some(row)
}

/// Unset where it is empty.
fn known(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn version(number: u16) -> Option<&'static str> {
    Some(match number {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "TLSv10",
        0x0302 => "TLSv11",
        0x0303 => "TLSv12",
        0x0304 => "TLSv13",
        0xfeff => "DTLSv10",
        0xfefd => "DTLSv12",
        0xfefc => "DTLSv13",
        _ => return None,
    })
}

/// The columns that most logs share.
fn begin(log: &'static Log, record: &AppRecord) -> Row {
    let (originator, responder) = (record.tuple.originator, record.tuple.responder);
    let mut row = Row::new(log);
    row.put("ts", Some(record.time))
        .put("uid", record.community_id.as_ref().map(uid))
        .put("id.orig_h", Some(originator.ip))
        .put("id.orig_p", Some(originator.port))
        .put("id.resp_h", Some(responder.ip))
        .put("id.resp_p", Some(responder.port))
        .put("proto", Some(name_of(record.tuple.protocol)));
    row
}

fn unanswered(record: &AppRecord) -> Option<Row> {
    let AppEvent::Dns(query) = &record.event else {
        return None;
    };
    let mut row = begin(&DNS, record);
    row.put("trans_id", Some(query.id))
        .put("query", known(&query.name))
        .put("qtype", Some(query.query_type));
    Some(row)
}

/// `query` is the answer itself where no query was seen.
fn dns(query: &AppRecord, answer: &Dns, asked: bool) -> Row {
    const REFUSED: u8 = 5;
    let mut row = begin(&DNS, query);
    let texts: Vec<String> = answer
        .answers
        .iter()
        .map(|answer| match &answer.data {
            DnsData::Address(ip) => ip.to_string(),
            DnsData::Name(name) => name.clone(),
            DnsData::Text(text) => format!("TXT {} {text}", text.len()),
            // Zeek writes what it did not read as such.
            DnsData::Other => format!("<unknown type={}>", answer.record_type),
        })
        .collect();
    let ttls: Vec<f64> = answer
        .answers
        .iter()
        .map(|answer| f64::from(answer.ttl))
        .collect();
    row.put("trans_id", Some(answer.id))
        .put("query", known(&answer.name))
        .put("qtype", Some(answer.query_type))
        .put("rcode", Some(answer.rcode))
        .put("rtt", answer.latency.filter(|_| asked))
        .put("rejected", Some(answer.rcode == REFUSED))
        .put("answers", (!texts.is_empty()).then_some(texts))
        .put("TTLs", (!ttls.is_empty()).then_some(Value::Intervals(ttls)));
    row
}
