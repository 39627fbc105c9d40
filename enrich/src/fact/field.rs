//! The properties that sources can speak of, and which column of which source feeds which property.

/// How words of several sources become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The value that most sources give; ties go to the earlier source of the field's order.
    Vote,
    /// Latitude and longitude: those of one source, so that nobody's point is ever made up of two.
    Position,
    /// The union.
    Set,
}

/// What a field is about: people read these one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What the address is, and where and whose.
    Address,
    /// What services say of its conduct.
    Said,
    /// What probes of our own measured.
    Probed,
}

impl Group {
    /// What stands above it for people; nothing above the first.
    #[must_use]
    pub const fn heading(self) -> Option<&'static str> {
        match self {
            Self::Address => None,
            Self::Said => Some("what others said"),
            Self::Probed => Some("what probes found"),
        }
    }
}

macro_rules! fields {
    ($($(#[$note:meta])* $name:ident = $text:literal, $shape:ident, $title:literal;)*) => {
        /// A property of an address.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Field { $($(#[$note])* $name,)* }

        impl Field {
            /// In the order of a dossier.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Name in columns and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// For people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$name => Shape::$shape,)* }
            }
        }
    };
}

fields! {
    /// `public`, `private`, `loopback`, … (RFC 6890 and the registries that go on from it).
    Category = "category", Vote, "category";
    /// The block of the special-use registry, as `Private-Use (RFC 1918)`.
    SpecialUse = "special_use", Vote, "special use";
    /// Globally reachable and not multicast.
    IsRoutable = "is_routable", Vote, "routable";
    CountryCode = "country_code", Vote, "country";
    CountryName = "country_name", Vote, "country name";
    /// State or province.
    Region = "region", Vote, "region";
    City = "city", Vote, "city";
    PostalCode = "postal_code", Vote, "postal code";
    /// Degrees north.
    Latitude = "latitude", Position, "latitude";
    /// Degrees east.
    Longitude = "longitude", Position, "longitude";
    /// Kilometres around the position.
    ErrorRadius = "error_radius_km", Vote, "error radius";
    /// Degrees north of the middle of the region that round-trip times permit. No estimate of a database.
    LightLatitude = "light_latitude", Vote, "by light";
    /// Degrees east of it.
    LightLongitude = "light_longitude", Vote, "by light, longitude";
    /// Kilometres around it that hold half of the region.
    LightRadius50 = "light_radius_50_km", Vote, "by light, half within km";
    /// Kilometres around it that hold nine tenths of the region.
    LightRadius90 = "light_radius_90_km", Vote, "by light, nine tenths within km";
    /// Kilometres around it that hold the whole region.
    LightRadiusMax = "light_radius_max_km", Vote, "by light, all within km";
    /// The region's bounds in degrees, as `39.81..45.59 N, 19.39..27.26 E`.
    LightBox = "light_box", Vote, "by light, box";
    /// Who measured, nearest first, as `sofia 3.1 ms ⇒ within 310 km`.
    LightLandmarks = "light_landmarks", Set, "measured by";
    /// Places that sources claim and light forbids, with the landmark that says so.
    LightRefutes = "light_refutes", Set, "light refutes";
    /// It answers from several places: no single one fits all round-trip times.
    IsAnycast = "is_anycast", Vote, "anycast";
    /// Legal time zone, an IANA name.
    Timezone = "timezone", Vote, "time zone";
    /// All legal zones of the position, where people there use two.
    LegalZones = "legal_zones", Set, "legal zones";
    /// The 15° zone of the longitude, as `UTC−8`.
    NominalZone = "nominal_zone", Vote, "nominal zone";
    /// Seconds east of UTC, now.
    UtcOffset = "utc_offset", Vote, "UTC offset";
    /// Daylight saving time, now.
    Dst = "dst", Vote, "DST";
    /// RFC 3339, now.
    LocalTime = "local_time", Vote, "local time";
    /// Where the block is registered, which is not where it is used.
    RegisteredCountryCode = "registered_country_code", Vote, "registered country";
    /// Country of the autonomous system's registration.
    AsCountryCode = "as_country_code", Vote, "AS country";
    WhoisCountryCode = "whois_country_code", Vote, "WHOIS country";
    Asn = "asn", Vote, "ASN";
    AsName = "as_name", Vote, "organization";
    /// Announced prefix, or the range of the table that gave the ASN.
    Network = "network", Vote, "network";
    Isp = "isp", Vote, "ISP";
    ReverseDns = "reverse_dns", Vote, "reverse DNS";
    /// The name has the address too. Whoever owns an address may write any name there.
    ReverseDnsConfirmed = "reverse_dns_confirmed", Vote, "reverse DNS confirmed";
    /// Names that others saw on the address.
    Hostnames = "hostnames", Set, "host names";
    /// Regional registry: `arin`, `ripencc`, `apnic`, `lacnic`, `afrinic`.
    Registry = "registry", Vote, "registry";
    RegistryHandle = "registry_handle", Vote, "registry handle";
    /// Day of the allocation.
    AllocatedAt = "allocated_at", Vote, "allocated";
    AbuseEmail = "abuse_email", Vote, "abuse contact";
    /// In a published range of a cloud, or called hosting by a reputation service.
    IsHosting = "is_hosting", Vote, "cloud or hosting";
    HostingProvider = "hosting_provider", Vote, "hosting provider";
    IsCdn = "is_cdn", Vote, "CDN";
    IsTor = "is_tor", Vote, "Tor exit";
    IsProxy = "is_proxy", Vote, "proxy";
    IsVpn = "is_vpn", Vote, "VPN";
    IsSearchBot = "is_search_bot", Vote, "search bot";
    BotName = "bot_name", Vote, "bot";
    /// TCP and UDP ports that were found open, as `443`.
    Ports = "ports", Set, "open ports";
    /// Ports that a scan of ours tried. Of others it says nothing.
    PortsTried = "ports_tried", Set, "ports tried";
    /// Those of them that neither opened nor refused in time: open or closed, nobody knows.
    PortsSilent = "ports_silent", Set, "ports without answer";
    /// As `tcp/443 tls`.
    Services = "services", Set, "services";
    Vulnerabilities = "vulns", Set, "vulnerabilities";
    Tags = "tags", Set, "tags";
    /// Threat feeds that list it.
    Feeds = "feeds", Set, "feeds";
    /// DNS block lists that list it.
    DnsblListed = "dnsbl_listed", Set, "DNS block lists";
    /// What they list it for, as `zen.spamhaus.org SBL (127.0.0.2)`.
    DnsblCodes = "dnsbl_codes", Set, "listed for";
    /// DNS block lists that answered and do not list it.
    DnsblNotListed = "dnsbl_not_listed", Set, "not listed in";
    /// DNS block lists that gave no usable answer, and why.
    DnsblUnknown = "dnsbl_unknown", Set, "lists without answer";
    /// `malicious`, `suspicious`, `benign`, `safe`, `known`, …: the vendors' own words.
    Reputation = "reputation", Vote, "reputation";
    /// Whose it is, or what is known to use it, as `Mirai` or `Google Public DNS`.
    Actor = "actor", Vote, "known as";
    /// It scans everybody; its attention means nothing.
    IsNoise = "is_noise", Vote, "scans everybody";
    /// A common business service.
    IsKnownService = "is_known_service", Vote, "known service";
    /// What it was seen doing, as `ssh:bruteforce`.
    Behaviors = "behaviors", Set, "behaviors";
    Classifications = "classifications", Set, "classifications";
    /// Reasons to take reports of it for mistakes.
    FalsePositives = "false_positives", Set, "false positives";
    /// 0–5, of all its history.
    ThreatScore = "threat_score", Vote, "threat score (of 5)";
    /// 0–100.
    AbuseScore = "abuse_score", Vote, "abuse score";
    /// In the time that `abuseipdb.days` names.
    AbuseReports = "abuse_reports", Vote, "abuse reports";
    /// What it was reported for, as `SSH`.
    AbuseCategories = "abuse_categories", Set, "reported for";
    LastReported = "last_reported", Vote, "last reported";
    UsageType = "usage_type", Vote, "usage";
    /// Engines that call it malicious.
    MaliciousCount = "malicious_count", Vote, "malicious verdicts";
    SuspiciousCount = "suspicious_count", Vote, "suspicious verdicts";
    HarmlessCount = "harmless_count", Vote, "harmless verdicts";
    /// Engines without a verdict.
    UndetectedCount = "undetected_count", Vote, "engines without verdict";
    /// Votes of people, good minus bad.
    CommunityScore = "community_score", Vote, "community score";
    /// Block lists that a vendor asked and that list it.
    BlacklistDetections = "blacklist_detections", Vote, "block lists (of vendor)";
    /// Which.
    BlacklistedBy = "blacklisted_by", Set, "listed by";
    /// How many the vendor asked.
    BlacklistEngines = "blacklist_engines", Vote, "block lists asked";
    /// Percent of the echoes that were not answered.
    PingLoss = "ping_loss_percent", Vote, "ping";
    PingCount = "ping_count", Vote, "echoes";
    /// Shortest round-trip time.
    PingMin = "ping_min_ms", Vote, "shortest round trip";
    PingAverage = "ping_avg_ms", Vote, "mean round trip";
    PingMax = "ping_max_ms", Vote, "longest round trip";
    /// Time to live of the last answer.
    PingTtl = "ping_ttl", Vote, "time to live";
    /// Routers on the way, nearest first, as `192.0.2.1 0.3 ms → * → 192.0.2.9 8.1 ms`; `*` did not answer.
    Route = "route", Vote, "route";
    /// The last of them is the address itself.
    RouteReached = "route_reached", Vote, "route reaches it";
}

impl Field {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }

    #[must_use]
    pub fn group(self) -> Group {
        if self >= Self::PingLoss {
            Group::Probed
        } else if self >= Self::DnsblListed {
            Group::Said
        } else {
            Group::Address
        }
    }

    /// Place of a source in the order that breaks ties; those that the order does not name come last, by name.
    #[must_use]
    pub fn rank(self, source: &str) -> usize {
        let order = CANONICAL.iter().find(|(field, _)| *field == self);
        order
            .and_then(|(_, columns)| columns.iter().position(|(name, _)| *name == source))
            .unwrap_or(usize::MAX)
    }
}

/// What feeds a field: source and its column (as Know Your IP 0.6.2 names it; ours where it has none), in tie order.
///
/// The order is Know Your IP's; our own tables stand behind the user's MMDB files and before the services.
#[rustfmt::skip]
pub const CANONICAL: &[(Field, &[(&str, &str)])] = &[
    (Field::CountryCode, &[
        ("maxmind", "country.iso_code"), ("ipinfo", "country_code"), ("dbip", "country_code"), ("iptoasn", "country_code"),
        ("ipfire", "country_code"), ("censys", "country_code"), ("abuseipdb", "country_code"), ("virustotal", "country"),
        ("rdap", "country"), ("geonames", "countryCode"),
    ]),
    (Field::CountryName, &[
        ("maxmind", "country.names.en"), ("ipinfo", "country"), ("dbip", "country"), ("censys", "country"),
        ("geonames", "countryName"), ("iana", "country"),
    ]),
    (Field::City, &[("maxmind", "city.names.en"), ("ipinfo", "city"), ("dbip", "city"), ("censys", "city")]),
    (Field::Region, &[
        ("maxmind", "subdivisions.0.names.en"), ("ipinfo", "region"), ("dbip", "state1"), ("censys", "province"),
    ]),
    (Field::PostalCode, &[
        ("maxmind", "postal.code"), ("ipinfo", "postal"), ("dbip", "postcode"), ("censys", "postal_code"),
    ]),
    (Field::Latitude, &[
        ("maxmind", "location.latitude"), ("ipinfo", "latitude"), ("dbip", "latitude"), ("censys", "latitude"),
    ]),
    (Field::Longitude, &[
        ("maxmind", "location.longitude"), ("ipinfo", "longitude"), ("dbip", "longitude"), ("censys", "longitude"),
    ]),
    (Field::ErrorRadius, &[("maxmind", "location.accuracy_radius")]),
    (Field::Timezone, &[
        ("maxmind", "location.time_zone"), ("ipinfo", "timezone"), ("dbip", "timezone"), ("censys", "timezone"),
        ("timezone", "name"), ("geonames", "timezoneId"),
    ]),
    (Field::RegisteredCountryCode, &[("maxmind", "registered_country.iso_code")]),
    (Field::AsCountryCode, &[("censys", "as_country_code")]),
    (Field::WhoisCountryCode, &[("censys", "whois_org_country")]),
    (Field::Asn, &[
        ("maxmind", "autonomous_system_number"), ("ipinfo", "asn"), ("asn", "asn"), ("cymru", "asn"), ("censys", "asn"),
        ("virustotal", "asn"), ("shodan", "asn"), ("crowdsec", "asn"),
    ]),
    (Field::AsName, &[
        ("maxmind", "autonomous_system_organization"), ("ipinfo", "as_name"), ("asn", "organization"),
        ("cymru", "as_name"), ("censys", "as_name"), ("virustotal", "as_owner"),
    ]),
    (Field::Network, &[
        ("cymru", "bgp_prefix"), ("censys", "bgp_prefix"), ("virustotal", "network"), ("asn", "network"),
    ]),
    (Field::Isp, &[("abuseipdb", "isp"), ("shodan", "isp")]),
    (Field::ReverseDns, &[("network", "reverse_dns")]),
    (Field::ReverseDnsConfirmed, &[("network", "reverse_dns_confirmed")]),
    (Field::Hostnames, &[("internetdb", "hostnames"), ("shodan", "hostnames")]),
    (Field::AbuseEmail, &[("rdap", "abuse_email"), ("censys", "whois_abuse_email")]),
    (Field::Registry, &[("rdap", "registry"), ("cymru", "registry"), ("virustotal", "rir"), ("iana", "registry")]),
    (Field::RegistryHandle, &[("rdap", "handle"), ("censys", "whois_handle")]),
    (Field::AllocatedAt, &[("rdap", "registration"), ("censys", "whois_created"), ("cymru", "allocated")]),
    (Field::Category, &[("network", "category")]),
    (Field::SpecialUse, &[("network", "special_use")]),
    (Field::IsRoutable, &[("network", "is_routable")]),
    (Field::IsTor, &[
        ("abuseipdb", "is_tor"), ("apivoid", "anonymity.is_tor"), ("ranges", "is_tor_exit"), ("greynoise", "tor"),
    ]),
    (Field::IsProxy, &[("apivoid", "anonymity.is_proxy")]),
    (Field::IsVpn, &[("apivoid", "anonymity.is_vpn"), ("greynoise", "vpn")]),
    (Field::IsHosting, &[("apivoid", "anonymity.is_hosting"), ("ranges", "is_cloud")]),
    (Field::HostingProvider, &[("ranges", "hosting_provider")]),
    (Field::IsCdn, &[("ranges", "is_cdn")]),
    (Field::IsSearchBot, &[("ranges", "is_search_bot")]),
    (Field::BotName, &[("ranges", "bot_name")]),
    (Field::AbuseScore, &[("abuseipdb", "abuse_confidence_score")]),
    (Field::MaliciousCount, &[("virustotal", "malicious")]),
    (Field::Ports, &[
        ("sensors", "ports"), ("censys", "ports"), ("shodan", "ports"), ("internetdb", "ports"),
        ("scan", "ports"), ("zmap", "ports"), ("zgrab2", "ports"),
    ]),
    (Field::Services, &[
        ("sensors", "services"), ("censys", "services"), ("shodan", "services"), ("scan", "services"),
        ("zgrab2", "services"),
    ]),
    (Field::Vulnerabilities, &[("internetdb", "vulns"), ("shodan", "vulns")]),
    (Field::Tags, &[("virustotal", "tags"), ("internetdb", "tags"), ("greynoise", "tags")]),
    (Field::Feeds, &[("feeds", "listed")]),
    (Field::PortsTried, &[("scan", "tried")]),
    (Field::PortsSilent, &[("scan", "silent")]),
    (Field::DnsblListed, &[("dnsbl", "listed_in")]),
    (Field::DnsblCodes, &[("dnsbl", "codes")]),
    (Field::DnsblNotListed, &[("dnsbl", "not_listed_in")]),
    (Field::DnsblUnknown, &[("dnsbl", "unknown")]),
    (Field::Reputation, &[("greynoise", "classification"), ("crowdsec", "reputation")]),
    (Field::Actor, &[("greynoise", "name")]),
    (Field::IsNoise, &[("greynoise", "noise")]),
    (Field::IsKnownService, &[("greynoise", "riot")]),
    (Field::Behaviors, &[("crowdsec", "behaviors")]),
    (Field::Classifications, &[("crowdsec", "classifications")]),
    (Field::FalsePositives, &[("crowdsec", "false_positives")]),
    (Field::ThreatScore, &[("crowdsec", "scores.overall.total")]),
    (Field::AbuseReports, &[("abuseipdb", "total_reports")]),
    (Field::AbuseCategories, &[("abuseipdb", "categories")]),
    (Field::LastReported, &[("abuseipdb", "last_reported_at")]),
    (Field::UsageType, &[("abuseipdb", "usage_type")]),
    (Field::SuspiciousCount, &[("virustotal", "suspicious")]),
    (Field::HarmlessCount, &[("virustotal", "harmless")]),
    (Field::UndetectedCount, &[("virustotal", "undetected")]),
    (Field::CommunityScore, &[("virustotal", "reputation")]),
    (Field::BlacklistDetections, &[("apivoid", "blacklists.detections")]),
    (Field::BlacklistedBy, &[("apivoid", "blacklists.detected_by")]),
    (Field::BlacklistEngines, &[("apivoid", "blacklists.engines_count")]),
    (Field::PingLoss, &[("ping", "percent_loss")]),
    (Field::PingCount, &[("ping", "count")]),
    (Field::PingMin, &[("ping", "min")]),
    (Field::PingAverage, &[("ping", "avg")]),
    (Field::PingMax, &[("ping", "max")]),
    (Field::PingTtl, &[("ping", "ttl")]),
    (Field::Route, &[("traceroute", "hops")]),
    (Field::RouteReached, &[("traceroute", "reached")]),
];

/// Columns that look as if they said where an address is or whose it is, and do not: they must never feed these fields.
///
/// A block's registration and an autonomous system's country are facts about papers; an ISP is not the holder of the AS.
pub const SEPARATE_BY_DESIGN: &[(&str, &str, &[Field])] = &[
    (
        "maxmind",
        "registered_country.iso_code",
        &[Field::CountryCode, Field::CountryName],
    ),
    (
        "maxmind",
        "registered_country.names.en",
        &[Field::CountryCode, Field::CountryName],
    ),
    (
        "censys",
        "as_country_code",
        &[Field::CountryCode, Field::CountryName],
    ),
    (
        "censys",
        "whois_org_country",
        &[Field::CountryCode, Field::CountryName],
    ),
    ("abuseipdb", "isp", &[Field::AsName]),
    ("shodan", "isp", &[Field::AsName]),
];

/// Who says what stands in a column: its prefix, but for reverse names, which Know Your IP has under the address itself.
#[must_use]
pub fn speaker<'a>(prefix: &'a str, column: &str) -> &'a str {
    match (prefix, column) {
        ("network", "reverse_dns" | "reverse_dns_confirmed") => "reverse_dns",
        _ => prefix,
    }
}

/// The field that a column of a source feeds; `None`: it stays a column.
#[must_use]
pub fn field_of(source: &str, column: &str) -> Option<Field> {
    CANONICAL
        .iter()
        .find(|(_, columns)| columns.contains(&(source, column)))
        .map(|(field, _)| *field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_and_isps_never_become_places_and_holders() {
        for (source, column, fields) in SEPARATE_BY_DESIGN {
            let fed = field_of(source, column);
            assert!(
                fed.is_none_or(|fed| !fields.contains(&fed)),
                "{source}.{column} feeds {fed:?}"
            );
        }
        assert_eq!(
            field_of("censys", "whois_org_country"),
            Some(Field::WhoisCountryCode)
        );
    }

    #[test]
    fn a_column_feeds_one_field_and_a_field_has_one_order() {
        let mut columns: Vec<_> = CANONICAL.iter().flat_map(|(_, columns)| *columns).collect();
        let all = columns.len();
        columns.sort_unstable();
        columns.dedup();
        assert_eq!(columns.len(), all);
        let mut fields: Vec<_> = CANONICAL.iter().map(|(field, _)| *field).collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields.len(), CANONICAL.len());
    }

    #[test]
    fn groups_follow_one_another() {
        assert!(Field::ALL.is_sorted_by_key(|field| field.group()));
        assert_eq!(Field::Feeds.group(), Group::Address);
        assert_eq!(Field::AbuseScore.group(), Group::Said);
        assert_eq!(Field::Route.group(), Group::Probed);
    }

    #[test]
    fn names_are_found_again() {
        for field in Field::ALL {
            assert_eq!(Field::from_name(field.name()), Some(*field));
        }
        assert_eq!(Field::from_name("nothing"), None);
        assert!(Field::CountryCode.rank("maxmind") < Field::CountryCode.rank("rdap"));
        assert_eq!(Field::CountryCode.rank("whoever"), usize::MAX);
    }
}
