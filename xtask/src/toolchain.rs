//! The nightly compiler that builds the kernel programs.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

use crate::shell::{command, root};

/// Names another toolchain than `nightly`, as `rustup toolchain list` has it.
const VARIABLE: &str = "LYNCEUS_NIGHTLY";
/// The nightly of some day.
const UNDATED: &str = "nightly";

/// The argument that chooses the toolchain: `+nightly`.
pub(crate) fn argument() -> String {
    format!("+{}", name())
}

/// The toolchain's name: what the variable says; else the pinned one where it is installed; else an undated `nightly` of the
/// same version; else the pinned one, which is then to be installed.
pub(crate) fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        if let Ok(name) = std::env::var(VARIABLE) {
            return name;
        }
        let (Ok((pinned, version)), Ok(installed)) = (pinned(), output("rustup", &["toolchain", "list"]))
        else {
            return String::from(UNDATED);
        };
        if is_installed(&installed, &pinned) || !is_installed(&installed, UNDATED) {
            return pinned;
        }
        match output("rustc", &[&format!("+{UNDATED}"), "--version"]) {
            Ok(here) if minor(&here) == Some(&version) => String::from(UNDATED),
            _ => pinned,
        }
    })
}

/// The nightly that built the committed object, which is the one place that names it: its name (`nightly-2026-05-20`) and
/// its minor version (`1.97`), whose LLVM is that of the linker.
pub(crate) fn pinned() -> anyhow::Result<(String, String)> {
    let path = root().join("sensor-ebpf/object/provenance.toml");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let provenance: toml::Table =
        toml::from_str(&text).with_context(|| format!("{} is no TOML", path.display()))?;
    let rustc = provenance.get("rustc").and_then(toml::Value::as_str);
    let pinned = rustc.and_then(|rustc| Some((dated(rustc)?, minor(rustc)?.to_owned())));
    pinned.with_context(|| format!("{} names no nightly compiler", path.display()))
}

/// `nightly-2026-05-20` of `rustc 1.97.0-nightly (e50aa6fba 2026-05-19)`: a nightly is called after the day on which it
/// came out, the compiler names the day of its last change, which is the one before.
fn dated(version: &str) -> Option<String> {
    let date = version.strip_suffix(')')?.rsplit(' ').next()?;
    let mut parts = date.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let (year, month, day) = match (month, day) {
        (_, day) if day < last => (year, month, day + 1),
        (12, _) => (year + 1, 1, 1),
        _ => (year, month + 1, 1),
    };
    Some(format!("nightly-{year}-{month:02}-{day:02}"))
}

/// `1.97` of `rustc 1.97.0-nightly (…)`.
pub(crate) fn minor(version: &str) -> Option<&str> {
    let number = version.split(' ').nth(1)?;
    let (second, _) = number.match_indices('.').nth(1)?;
    Some(&number[..second])
}

/// Whether rustup's list has a toolchain; its lines begin with the name and go on with the host.
fn is_installed(list: &str, name: &str) -> bool {
    list.lines()
        .filter_map(|line| line.split(' ').next())
        .filter_map(|line| line.strip_prefix(name))
        .any(|host| {
            host.is_empty() || host.starts_with('-') && !host[1..].starts_with(|c: char| c.is_ascii_digit())
        })
}

/// What the toolchain's compiler prints.
pub(crate) fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let toolchain = argument();
    let mut all = vec![toolchain.as_str()];
    all.extend(arguments);
    output("rustc", &all)
}

/// Folder of the toolchain.
pub(crate) fn sysroot() -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(rustc(&["--print", "sysroot"])?.trim()))
}

/// What a program prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = command(program)
        .args(arguments)
        // The variables of the stable cargo that runs this program would choose its compiler.
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .with_context(|| format!("failed to start `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_names_the_nightly() {
        let (name, version) = pinned().expect("the provenance of the committed object");
        assert!(name.starts_with("nightly-20"), "{name}");
        assert!(version.starts_with("1."), "{version}");
    }

    #[test]
    fn a_nightly_is_called_after_the_day_behind_its_last_change() {
        let of = |date: &str| dated(&format!("rustc 1.97.0-nightly (e50aa6fba {date})"));
        for (date, name) in [
            ("2026-05-19", "nightly-2026-05-20"),
            ("2026-05-31", "nightly-2026-06-01"),
            ("2026-12-31", "nightly-2027-01-01"),
            ("2028-02-28", "nightly-2028-02-29"),
            ("2100-02-28", "nightly-2100-03-01"),
        ] {
            assert_eq!(of(date).as_deref(), Some(name));
        }
        assert_eq!(of("2026-13-01"), None);
        assert_eq!(dated("rustc 1.95.0"), None);
    }

    #[test]
    fn a_dated_nightly_is_not_the_undated_one() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\nnightly-2026-05-20-x86_64-unknown-linux-gnu\n";
        assert!(is_installed(list, "nightly-2026-05-20"));
        assert!(!is_installed(list, "nightly-2026-05-2"));
        assert!(!is_installed(list, "nightly"));
        assert!(is_installed("nightly-x86_64-unknown-linux-gnu\n", "nightly"));
    }

    #[test]
    fn reads_the_minor_version() {
        assert_eq!(minor("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"), Some("1.97"));
        assert_eq!(minor("rustc"), None);
    }
}
