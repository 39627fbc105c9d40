//! AbuseIPDB v2, `GET /check` with `Key`. The free plan allows 1000 checks a day.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::settings::AbuseIpDb;
use super::tree::{Table, at, object};
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "abuseipdb",
    cost: Cost::Freemium,
    needs_key: true,
    sends: true,
    leak: Leak::Vendor,
    who: "AbuseIPDB learns the address and the owner of the key",
    quota: Quota {
        seconds_per_request: 0.5,
        burst: 5,
        per_day: Some(1000),
        per_month: None,
    },
    fresh: Some(Duration::from_secs(86_400)),
    any_address: false,
    needs_position: false,
};

/// Names of report categories by their number, from 1 on.
pub const CATEGORIES: [&str; 23] = [
    "DNS Compromise",
    "DNS Poisoning",
    "Fraud Orders",
    "DDoS Attack",
    "FTP Brute-Force",
    "Ping of Death",
    "Phishing",
    "Fraud VoIP",
    "Open Proxy",
    "Web Spam",
    "Email Spam",
    "Blog Spam",
    "VPN IP",
    "Port Scan",
    "Hacking",
    "SQL Injection",
    "Spoofing",
    "Brute Force",
    "Bad Web Bot",
    "Exploited Host",
    "Web App Attack",
    "SSH",
    "IoT Targeted",
];

pub(super) struct AbuseIpDbProvider {
    pub(super) settings: AbuseIpDb,
    pub(super) wire: Arc<Wire>,
}

const URL: &str = "https://api.abuseipdb.com/api/v2";

impl Provider for AbuseIpDbProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn missing(&self) -> Option<&'static str> {
        (!self.settings.api_key.is_set()).then_some("abuseipdb.api_key")
    }

    fn settings(&self) -> String {
        format!("days={}", self.settings.days)
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let url = format!(
            "{}/check?ipAddress={}&maxAgeInDays={}&verbose",
            super::registry::base(&self.settings.api_url, URL),
            question.ip,
            self.settings.days
        );
        let request = Request::get(&url)
            .header("key", self.settings.api_key.text())
            .header("accept", "application/json");
        Reply::read(self.wire.http(Sender::of(&INFO, question.ip), request)?, decode)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Columns, Fault> {
    let document = object(body)?;
    let data = at(&document, "data")
        .filter(|data| data.is_object())
        .ok_or_else(|| Fault::Malformed("no data".to_owned()))?;
    let mut table = Table::new(INFO.name);
    table.take(
        data,
        &[
            ("abuse_confidence_score", "abuseConfidenceScore"),
            ("country_code", "countryCode"),
            ("usage_type", "usageType"),
            ("isp", "isp"),
            ("domain", "domain"),
            ("is_public", "isPublic"),
            ("is_whitelisted", "isWhitelisted"),
            ("is_tor", "isTor"),
            ("total_reports", "totalReports"),
            ("num_distinct_users", "numDistinctUsers"),
            ("last_reported_at", "lastReportedAt"),
        ],
    );
    if let Some(reports) = at(data, "reports").and_then(Value::as_array) {
        let mut numbers: Vec<u64> = reports
            .iter()
            .filter_map(|report| report.get("categories")?.as_array())
            .flatten()
            .filter_map(Value::as_u64)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        table.list("categories", numbers.into_iter().map(category));
    }
    Ok(table.done())
}

/// A number that is not documented stays a number.
fn category(number: u64) -> String {
    let place = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let name = place.and_then(|place| CATEGORIES.get(place));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}
