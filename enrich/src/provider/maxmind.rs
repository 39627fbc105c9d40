//! The user's own MaxMind databases (or others of that format), read from disk; and their download with the user's
//! account. None is shipped: the license forbids it.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::settings::MaxMind;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Range, Reply, Secret};
use crate::wire::{Request, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "maxmind",
    cost: Cost::Free,
    needs_key: false,
    sends: false,
    leak: Leak::None,
    who: "nobody: a file of yours is read",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: false,
    needs_position: false,
};

/// For [`download`], which the budget of `lynceus ip --download-db` counts under this name.
pub static DOWNLOAD: Info = Info {
    name: "maxmind_download",
    needs_key: true,
    sends: true,
    who: "MaxMind learns the account and from where it is used, not which address you look at",
    quota: Quota {
        seconds_per_request: 0.0,
        burst: 1,
        per_day: Some(30),
        per_month: None,
    },
    ..INFO
};

const URL: &str = "https://download.maxmind.com/geoip/databases";
/// Editions that [`download`] fetches.
pub const EDITIONS: [&str; 2] = ["GeoLite2-City", "GeoLite2-ASN"];
/// The city database has some 60 MiB.
const MAX_DATABASE: u64 = 512 << 20;

type Reader = maxminddb::Reader<Vec<u8>>;

#[derive(Default)]
struct Databases {
    city: Option<Reader>,
    asn: Option<Reader>,
}

pub(super) struct MaxMindProvider {
    settings: MaxMind,
    databases: OnceLock<Databases>,
}

impl MaxMindProvider {
    pub(super) const fn new(settings: MaxMind) -> Self {
        Self {
            settings,
            databases: OnceLock::new(),
        }
    }

    /// Read at the first question: a city database takes tens of milliseconds.
    fn databases(&self) -> &Databases {
        self.databases.get_or_init(|| {
            let mut databases = Databases::default();
            for path in places(&self.settings.db_path) {
                match open(&path) {
                    Ok(reader) => {
                        let kind = reader.metadata().database_type.to_ascii_lowercase();
                        let place = if kind.contains("asn") {
                            &mut databases.asn
                        } else {
                            &mut databases.city
                        };
                        place.get_or_insert(reader);
                    }
                    Err(error) => tracing::warn!(%error, path = %path.display(), "not a database"),
                }
            }
            databases
        })
    }
}

/// Databases in the configured place, else where systems and Know Your IP keep them.
fn places(configured: &Path) -> Vec<PathBuf> {
    if configured.is_file() {
        return vec![configured.to_owned()];
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = home.map(|home| home.join(".cache/know-your-ip/maxmind"));
    let folders = [
        configured.to_owned(),
        "/usr/share/GeoIP".into(),
        "/var/lib/GeoIP".into(),
    ];
    for folder in folders.into_iter().chain(cache) {
        let names = [
            "GeoLite2-City",
            "GeoIP2-City",
            "GeoLite2-Country",
            "GeoLite2-ASN",
            "GeoIP2-ISP",
        ];
        let found: Vec<PathBuf> = names
            .iter()
            .map(|name| folder.join(format!("{name}.mmdb")))
            .filter(|path| path.is_file())
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn open(path: &Path) -> Result<Reader, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_DATABASE {
        return Err(format!("longer than {MAX_DATABASE} bytes"));
    }
    Reader::open_readfile(path).map_err(|error| error.to_string())
}

/// The record and the network that it stands for.
fn record(reader: &Reader, ip: IpAddr) -> Result<Option<(Value, Option<Range>)>, Fault> {
    let fault = |error: maxminddb::MaxMindDbError| Fault::Malformed(error.to_string());
    let found = reader.lookup(ip).map_err(fault)?;
    let Some(value) = found.decode::<Value>().map_err(fault)? else {
        return Ok(None);
    };
    let network = found.network().map_err(fault)?;
    let range = Range {
        first: network.network(),
        last: network.broadcast(),
    };
    Ok(Some((value, range.contains(ip).then_some(range))))
}

/// Both readers on any bytes.
pub(super) fn decode_all(bytes: &[u8], ip: IpAddr) {
    let _ = unpack(bytes, EDITIONS[0]);
    if let Ok(reader) = Reader::from_source(bytes.to_vec()) {
        let _ = record(&reader, ip);
    }
}

impl Provider for MaxMindProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let databases = self.databases();
        if databases.city.is_none() && databases.asn.is_none() {
            return Err(Fault::Unconfigured("a database in maxmind.db_path"));
        }
        let mut table = Table::new(INFO.name);
        let mut narrow = None;
        for reader in [&databases.city, &databases.asn].into_iter().flatten() {
            if let Some((value, range)) = record(reader, question.ip)? {
                table.flatten(&value, '.');
                narrow = narrow.or(range);
            }
        }
        let columns = table.done();
        if columns.is_empty() {
            return Ok(Reply::NotFound);
        }
        Ok(Reply::Found {
            columns,
            range: narrow,
        })
    }
}

/// Fetches an edition with the user's account and puts the database into a folder, after it was opened once.
/// Returns its place.
///
/// # Errors
/// See [`Fault`]; the file that was there stays.
pub fn download(wire: &Wire, settings: &MaxMind, edition: &str, folder: &Path) -> Result<PathBuf, Fault> {
    if !settings.account_id.is_set() || !settings.license_key.is_set() {
        return Err(Fault::Unconfigured("maxmind.account_id and maxmind.license_key"));
    }
    let url = format!(
        "{}/{edition}/download?suffix=tar.gz",
        super::registry::base(&settings.api_url, URL)
    );
    let sender = Sender {
        provider: DOWNLOAD.name,
        about: None,
        leak: Leak::None,
    };
    let mut request = Request::get(&url).header(
        "authorization",
        basic(&settings.account_id, &settings.license_key),
    );
    request.max_bytes = MAX_DATABASE;
    request.redirects = 3;
    let body = wire
        .http(sender, request)?
        .body_or_not_found()?
        .ok_or_else(|| Fault::Server(format!("{edition}: HTTP 404"), None))?;
    let database = unpack(&body, edition)?;
    let checked =
        Reader::from_source(database.clone()).map_err(|error| Fault::Malformed(error.to_string()))?;
    let kind = &checked.metadata().database_type;
    if !kind.starts_with(edition) {
        return Err(Fault::Malformed(format!("{kind:?} instead of {edition}")));
    }
    let path = folder.join(format!("{edition}.mmdb"));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let unfinished = folder.join(format!("{edition}.{}.new", std::process::id()));
        fs::write(&unfinished, &database)?;
        fs::rename(unfinished, &path)
    };
    write().map_err(|error| Fault::Local(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// RFC 7617.
fn basic(account: &Secret, key: &Secret) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", account.text(), key.text());
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The one database in the archive. Names in the archive choose no place.
fn unpack(archive: &[u8], edition: &str) -> Result<Vec<u8>, Fault> {
    let fault = |error: std::io::Error| Fault::Malformed(format!("archive: {error}"));
    let unpacked = flate2::read::GzDecoder::new(archive).take(MAX_DATABASE + (1 << 20));
    let mut archive = tar::Archive::new(unpacked);
    for entry in archive.entries().map_err(fault)? {
        let mut entry = entry.map_err(fault)?;
        let wanted = format!("{edition}.mmdb");
        if entry
            .path()
            .map_err(fault)?
            .file_name()
            .is_some_and(|name| name == wanted.as_str())
        {
            let mut database = Vec::new();
            entry
                .by_ref()
                .take(MAX_DATABASE + 1)
                .read_to_end(&mut database)
                .map_err(fault)?;
            if database.len() as u64 > MAX_DATABASE {
                return Err(Fault::Malformed(format!(
                    "{wanted}: longer than {MAX_DATABASE} bytes"
                )));
            }
            return Ok(database);
        }
    }
    Err(Fault::Malformed(format!("no {edition}.mmdb in the archive")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_basic() {
        assert_eq!(
            basic(&Secret::new("user"), &Secret::new("pass")),
            "Basic dXNlcjpwYXNz"
        );
    }

    proptest! {
        #[test]
        fn any_archive_is_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(unpack(&bytes, "GeoLite2-City").is_err());
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packed, &bytes).unwrap();
            prop_assert!(unpack(&packed.finish().unwrap(), "GeoLite2-City").is_err());
        }

        #[test]
        fn any_database_is_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(reader) = Reader::from_source(bytes) {
                let _ = record(&reader, "192.0.2.1".parse().unwrap());
            }
        }
    }
}
