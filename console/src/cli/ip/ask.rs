//! Asking outside sources: flags, and what goes before and after.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use lynceus_enrich::discipline::{Desk, Folders, Leave, Manifest, Options, Run, SystemClock, suspicion};
use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::fact::Fact;
use lynceus_enrich::kyi::Config;
use lynceus_enrich::provider::{Answer, Leak, Secret, Settings, facts, unknowns};

use super::{import, past, who};
use crate::cli::Outcome;

/// Flags with which no address is needed.
pub(super) const WITHOUT_ADDRESS: [&str; 5] = [
    "list_providers",
    "import_zmap",
    "import_zgrab",
    "download_db",
    "file",
];

#[derive(Args)]
#[command(next_help_heading = "Asking others")]
pub(super) struct Asking {
    /// Ask outside sources that are switched on. Sends packets; says first who learns what, and writes each to a probe log
    #[arg(long)]
    active: bool,
    /// The most that may be given away: none, dns (the address to name servers), vendor (the address to a company), target
    /// (yourself to the address)
    #[arg(long, value_enum, default_value = "target", value_name = "LEAK")]
    max_leak: MaxLeak,
    /// Ask these instead of those that are switched on
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    providers: Option<Vec<String>>,
    /// List outside sources: cost, key, leak, quota, who learns what
    #[arg(long)]
    list_providers: bool,
    /// TOML file with a section for each provider, or Know Your IP's own INI or TOML (default: ~/.config/lynceus/ip.toml
    /// if there)
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Addresses that are asked about at a time
    #[arg(long, visible_alias = "maxconn", short = 'n', default_value_t = 5, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    max_conn: u16,
    /// Folder of kept answers (default: ~/.local/state/lynceus/history); they are always kept
    #[arg(long, value_name = "DIR")]
    cache: Option<Option<PathBuf>>,
    /// Take kept answers that are not older than this, instead of each source's own time
    #[arg(long, value_name = "HOURS")]
    max_age: Option<u32>,
    /// Seconds that one question may wait for its source's pace
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    patience: u32,
    /// Print what outside sources said before, and what changed
    #[arg(long)]
    history: bool,
    /// Print what was known at the end of this day (UTC), from the history alone
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<jiff::civil::Date>,
    /// Write what the run did to this file, as JSON
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Take open ports out of ZMap's CSV into the history; - is standard input
    #[arg(long, value_name = "FILE")]
    import_zmap: Option<PathBuf>,
    /// Port of ZMap results that do not say it
    #[arg(long, value_name = "PORT", requires = "import_zmap")]
    port: Option<u16>,
    /// Take services out of ZGrab2's JSON Lines into the history; - is standard input
    #[arg(long, value_name = "FILE")]
    import_zgrab: Option<PathBuf>,
    /// Fetch GeoLite2-City and GeoLite2-ASN with the account in the configuration; needs --active
    #[arg(long)]
    download_db: bool,
    /// MaxMind account for --download-db, instead of the configuration's; also MAXMIND_ACCOUNT_ID
    #[arg(long, value_name = "ID", requires = "download_db")]
    account_id: Option<String>,
    /// Its key; also MAXMIND_LICENSE_KEY, which other users of this machine do not see
    #[arg(long, value_name = "KEY", requires = "download_db")]
    license_key: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MaxLeak {
    None,
    Dns,
    Vendor,
    Target,
}

impl From<MaxLeak> for Leak {
    fn from(leak: MaxLeak) -> Self {
        match leak {
            MaxLeak::None => Self::None,
            MaxLeak::Dns => Self::Dns,
            MaxLeak::Vendor => Self::Vendor,
            MaxLeak::Target => Self::Target,
        }
    }
}

/// Sources that the offline dossier has already.
const OWN: [&str; 3] = ["network", "maxmind", "ranges"];

impl Asking {
    /// Does what needs no dossier; `None`: go on.
    ///
    /// # Errors
    /// A setting or a file cannot be used.
    pub(super) fn instead(&self, addresses: &[IpAddr], json: bool) -> anyhow::Result<Option<Outcome>> {
        if self.list_providers {
            return who::list(&self.settings()?, &self.open()?, json).map(Some);
        }
        if self.download_db {
            return who::download(&self.account(self.settings()?), &self.open()?, self.leave()).map(Some);
        }
        if self.import_zmap.is_some() || self.import_zgrab.is_some() {
            let desk = self.open()?;
            return import::run(
                &desk,
                self.import_zmap.as_deref(),
                self.port,
                self.import_zgrab.as_deref(),
            )
            .map(Some);
        }
        if self.history {
            return past::history(&self.open()?, addresses, json).map(Some);
        }
        if let Some(date) = self.as_of {
            return past::as_of(&self.open()?, addresses, date, json).map(Some);
        }
        Ok(None)
    }

    /// What others say of the addresses, by leave: kept answers, and with `--active` new ones. `known` gives what is known
    /// without asking: the suspicious are asked about first.
    ///
    /// # Errors
    /// A setting or a file cannot be used.
    pub(super) fn ask(
        &self,
        addresses: &[IpAddr],
        known: &mut dyn FnMut(IpAddr) -> Dossier,
    ) -> anyhow::Result<HashMap<IpAddr, Vec<Fact>>> {
        let desk = self.for_dossiers()?;
        if self.active {
            who::announce(&desk);
        }
        let order: Vec<(IpAddr, u32)> = addresses
            .iter()
            .map(|ip| {
                // Who is alone needs no order.
                let rank = if self.active && addresses.len() > 1 {
                    rank(&desk, known(*ip))
                } else {
                    0
                };
                (*ip, rank)
            })
            .collect();
        let mut said: HashMap<IpAddr, Vec<Fact>> = HashMap::new();
        let mut faults: Vec<Answer> = Vec::new();
        let run = Run {
            max_conn: usize::from(self.max_conn),
        };
        let stop = AtomicBool::new(false);
        let manifest = run.ask(&desk, &order, &stop, |place, answers| {
            let ip = order[place].0;
            let mut all: Vec<Fact> = desk
                .imports(ip)
                .unwrap_or_default()
                .iter()
                .flat_map(facts)
                .collect();
            for answer in answers {
                if !OWN.contains(&answer.provider) {
                    all.extend(facts(&answer));
                    all.extend(unknowns(&answer));
                }
                if self.active && !answer.status.is_answer() {
                    faults.push(answer);
                }
            }
            said.insert(ip, all);
        });
        if self.active {
            who::faults(&faults);
            past::changed(&desk.take_changes());
        }
        self.write(&manifest)?;
        Ok(said)
    }

    /// Writes the manifest where `--manifest` says.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, manifest: &Manifest) -> anyhow::Result<()> {
        if let Some(path) = &self.manifest {
            let mut text = serde_json::to_vec_pretty(manifest)?;
            text.push(b'\n');
            std::fs::write(path, text).with_context(|| format!("--manifest: {}", path.display()))?;
        }
        Ok(())
    }

    fn leave(&self) -> Leave {
        if self.active {
            Leave {
                active: true,
                max_leak: self.max_leak.into(),
            }
        } else {
            Leave::PASSIVE
        }
    }

    /// With the account that the flags name, else the environment, else the configuration.
    fn account(&self, mut settings: Settings) -> Settings {
        let maxmind = &mut settings.maxmind;
        for (kept, flag, variable) in [
            (&mut maxmind.account_id, &self.account_id, "MAXMIND_ACCOUNT_ID"),
            (&mut maxmind.license_key, &self.license_key, "MAXMIND_LICENSE_KEY"),
        ] {
            let said = flag.clone().or_else(|| std::env::var(variable).ok());
            if let Some(said) = said.filter(|said| !said.is_empty()) {
                *kept = Secret::new(&said);
            }
        }
        settings
    }

    fn open(&self) -> anyhow::Result<Desk> {
        self.desk(&self.settings()?).map_err(|error| anyhow!(error))
    }

    /// Without those that a dossier does not ask because it knows what they say; offline that would be a place in the
    /// count of questions for each address, and nothing else.
    fn for_dossiers(&self) -> anyhow::Result<Desk> {
        let without = if self.active { &[][..] } else { &OWN };
        let options = Options {
            without: without.to_vec(),
            ..self.options()
        };
        Self::desk_with(&self.settings()?, options).map_err(|error| anyhow!(error))
    }

    pub(super) const fn is_active(&self) -> bool {
        self.active
    }

    pub(super) fn max_conn(&self) -> usize {
        usize::from(self.max_conn)
    }

    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The last second of the day that is asked for, since the Unix epoch.
    pub(super) fn as_of(&self) -> anyhow::Result<Option<i64>> {
        self.as_of.map(past::end_of).transpose()
    }

    /// The door to providers with these settings.
    ///
    /// # Errors
    /// A provider's name is not known, or a setting may not be so.
    pub(super) fn desk(&self, settings: &Settings) -> Result<Desk, String> {
        Self::desk_with(settings, self.options())
    }

    fn options(&self) -> Options {
        Options {
            leave: self.leave(),
            only: self.providers.clone(),
            max_age: self
                .max_age
                .map(|hours| Duration::from_secs(u64::from(hours) * 3600)),
            patience: Duration::from_secs(self.patience.into()),
            history: self.cache.clone().flatten(),
            ..Options::default()
        }
    }

    fn desk_with(settings: &Settings, options: Options) -> Result<Desk, String> {
        if let Some(file) = options.history.as_ref().filter(|path| path.is_file()) {
            let file = file.display();
            return Err(format!(
                "--cache: {file} is a file, and answers are kept in a folder"
            ));
        }
        Desk::open(settings, &Folders::usual(), options, Arc::new(SystemClock))
    }

    /// Our own configuration; Know Your IP's files are taken for their providers.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let usual = || set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let path = match &self.config {
            Some(path) => path.clone(),
            None => match usual()
                .map(|folder| folder.join("lynceus/ip.toml"))
                .filter(|path| path.exists())
            {
                Some(path) => path,
                None => return Ok(Settings::default()),
            },
        };
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let settings: Settings = match toml::from_str(&text) {
            Ok(settings) => settings,
            Err(error) => match Config::read(&path, &text, std::iter::empty()) {
                Ok(old) => old.settings,
                Err(_) => return Err(error).with_context(|| path.display().to_string()),
            },
        };
        settings
            .check()
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(settings)
    }
}

/// How suspicious an address is by what is known here and by what was ever said of it.
pub(super) fn rank(desk: &Desk, mut known: Dossier) -> u32 {
    let before = desk.recall(known.ip, i64::MAX).unwrap_or_default();
    known.extend(before.iter().flat_map(facts));
    suspicion(known.facts())
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
