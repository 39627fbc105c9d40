//! Column names of both generations, and where their values come from now.

/// Most columns of a file: twenty times 0.1.8's list.
pub const MAX_COLUMNS: usize = 10_000;
const MAX_NAME: usize = 256;

/// On by default in 0.1.8's `columns.txt`.
pub const OLD_DEFAULT: [&str; 37] = [
    "ip",
    "maxmind.continent.names.en",
    "maxmind.country.names.en",
    "maxmind.location.time_zone",
    "maxmind.postal.code",
    "maxmind.registered_country.names.en",
    "tzwhere.timezone",
    "abuseipdb.bad_isp",
    "abuseipdb.categories",
    "ipvoid.blacklist_status",
    "ipvoid.reverse_dns",
    "apivoid.anonymity.is_hosting",
    "apivoid.anonymity.is_proxy",
    "apivoid.anonymity.is_tor",
    "apivoid.anonymity.is_vpn",
    "apivoid.anonymity.is_webproxy",
    "apivoid.blacklists.detection_rate",
    "apivoid.blacklists.detections",
    "apivoid.blacklists.engines_count",
    "apivoid.blacklists.scantime",
    "apivoid.information.city_name",
    "apivoid.information.continent_code",
    "apivoid.information.continent_name",
    "apivoid.information.country_calling_code",
    "apivoid.information.country_code",
    "apivoid.information.country_currency",
    "apivoid.information.country_name",
    "apivoid.information.isp",
    "apivoid.information.latitude",
    "apivoid.information.longitude",
    "apivoid.information.region_name",
    "apivoid.information.reverse_dns",
    "shodan.asn",
    "shodan.isp",
    "shodan.vulns",
    "shodan.os",
    "shodan.ports",
];

/// 0.6.2's default.
pub const NEW_DEFAULT: [&str; 61] = [
    "ip",
    "network.version",
    "network.category",
    "network.is_routable",
    "network.reverse_dns",
    "rdap.handle",
    "rdap.name",
    "rdap.country",
    "rdap.registration",
    "rdap.abuse_email",
    "maxmind.continent.names.en",
    "maxmind.country.names.en",
    "maxmind.city.names.en",
    "maxmind.location.latitude",
    "maxmind.location.longitude",
    "maxmind.location.time_zone",
    "maxmind.postal.code",
    "maxmind.registered_country.names.en",
    "timezone.name",
    "abuseipdb.abuse_confidence_score",
    "abuseipdb.categories",
    "abuseipdb.country_code",
    "abuseipdb.isp",
    "abuseipdb.usage_type",
    "abuseipdb.total_reports",
    "abuseipdb.is_tor",
    "virustotal.harmless",
    "virustotal.malicious",
    "virustotal.suspicious",
    "virustotal.reputation",
    "virustotal.asn",
    "virustotal.as_owner",
    "virustotal.country",
    "virustotal.network",
    "virustotal.rir",
    "virustotal.tags",
    "censys.asn",
    "censys.as_name",
    "censys.bgp_prefix",
    "censys.country",
    "censys.city",
    "censys.latitude",
    "censys.longitude",
    "censys.ports",
    "censys.services",
    "censys.transport_protocols",
    "censys.whois_handle",
    "censys.whois_abuse_email",
    "censys.last_scan_time",
    "apivoid.anonymity.is_hosting",
    "apivoid.anonymity.is_proxy",
    "apivoid.anonymity.is_tor",
    "apivoid.anonymity.is_vpn",
    "apivoid.anonymity.is_webproxy",
    "apivoid.blacklists.detection_rate",
    "apivoid.blacklists.detections",
    "shodan.asn",
    "shodan.isp",
    "shodan.vulns",
    "shodan.os",
    "shodan.ports",
];

/// Where the value of a column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The address itself.
    Address,
    /// This raw column; mostly the one of the same name.
    Column(&'a str),
    /// Nowhere: why the service does not say it any more. The cell stays empty.
    Gone(&'static str),
}

/// Names of 0.1.8 whose values stand under another name now.
const RENAMED: &[(&str, &str)] = &[
    ("tzwhere.timezone", "timezone.name"),
    ("maxmind.traits.ip_address", "ip"),
    ("shodan.ip_str", "ip"),
    ("ipvoid.ip_address", "ip"),
    ("ipvoid.reverse_dns", "network.reverse_dns"),
    ("abuseipdb.reports", "abuseipdb.total_reports"),
    ("abuseipdb.total", "abuseipdb.total_reports"),
    ("abuseipdb.trusted_isp", "abuseipdb.is_whitelisted"),
    ("abuseipdb.country", "abuseipdb.country_code"),
    ("abuseipdb.host_name", "abuseipdb.domain"),
    ("censys.autonomous_system.asn", "censys.asn"),
    ("censys.protocols", "censys.services"),
    ("censys.location.timezone", "censys.timezone"),
    ("censys.location.country", "censys.country"),
    ("censys.location.postal_code", "censys.postal_code"),
];

const IPVOID: &str = "IPVoid's page asks for a person now";
const ABUSE: &str = "AbuseIPDB's API v2 does not say it, and its page is not read";
const VIRUSTOTAL: &str =
    "VirusTotal's API v3 has other fields: harmless, malicious, suspicious, undetected, tags";

/// Names of 0.1.8 that nobody answers any more.
const GONE: &[(&str, &str)] = &[
    ("abuseipdb.bad_isp", ABUSE),
    ("abuseipdb.version", ABUSE),
    ("abuseipdb.city", ABUSE),
    ("abuseipdb.organization", ABUSE),
    ("abuseipdb.postal_code", ABUSE),
    ("abuseipdb.region_state", ABUSE),
    ("abuseipdb.found", ABUSE),
    ("abuseipdb.history", ABUSE),
    ("virustotal.undetected_downloaded_samples", VIRUSTOTAL),
    ("virustotal.response_code", VIRUSTOTAL),
    ("virustotal.verbose_msg", VIRUSTOTAL),
    ("virustotal.resolutions", VIRUSTOTAL),
    ("virustotal.detected_urls", VIRUSTOTAL),
    ("virustotal.detected_communicating_samples", VIRUSTOTAL),
    ("virustotal.undetected_communicating_samples", VIRUSTOTAL),
];

/// Where a column that somebody asks for comes from.
#[must_use]
pub fn origin(column: &str) -> Origin<'_> {
    let find = |table: &'static [(&str, &str)]| {
        let found = table.iter().find(|(old, _)| *old == column);
        found.map(|(_, now)| *now)
    };
    match find(RENAMED) {
        Some("ip") => return Origin::Address,
        Some(now) => return Origin::Column(now),
        None if column == "ip" => return Origin::Address,
        None => {}
    }
    if let Some(why) = find(GONE) {
        return Origin::Gone(why);
    }
    if column.starts_with("ipvoid.") {
        return Origin::Gone(IPVOID);
    }
    Origin::Column(column)
}

/// A list of columns that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsError {
    #[error("line {0}: a column's name has 1 to 256 visible characters")]
    Name(usize),
    #[error("more than {MAX_COLUMNS} columns")]
    TooMany,
    #[error("no column is switched on")]
    None,
}

/// Reads a `columns.txt`: one name a line; `#` switches a line off. A name that comes twice counts once.
///
/// # Errors
/// See [`ColumnsError`].
pub fn read(text: &str) -> Result<Vec<String>, ColumnsError> {
    let mut seen = std::collections::HashSet::new();
    let mut columns = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let name = line.trim().trim_start_matches('\u{feff}');
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        if name.len() > MAX_NAME || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(ColumnsError::Name(number + 1));
        }
        if seen.insert(name) {
            if columns.len() == MAX_COLUMNS {
                return Err(ColumnsError::TooMany);
            }
            columns.push(name.to_owned());
        }
    }
    if columns.is_empty() {
        return Err(ColumnsError::None);
    }
    Ok(columns)
}
