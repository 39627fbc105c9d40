//! What is listed of the scenes, and the configuration that names it.

use std::path::Path;

use sha1::{Digest, Sha1};

/// Writes the feeds, and `lynceus.toml` with them, the local network, and what else is wanted.
pub(crate) fn configure(folder: &Path, certificate: &[u8], more: &str) {
    let hash: String = Sha1::digest(certificate)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bad = "198.51.80.1\n2001:db8::80:1\nlisted.example\nhttp://evil.example/payload.bin\nAS15169\n\
               t12d020400_04659ec43a24_38660d1a2b28\n";
    // Of the hellos of `messages.rs`: MD5 of `771,49199-49200,0-10-11-13,29-23,0` and of `771,49199,11`.
    for (name, lines) in [
        ("bad", bad),
        ("ja3", "1f4b8d65612ee195acc058194ef6fd00\n"),
        ("ja3s", "70745099b394fe3f42264227c098cc98\n"),
        ("certificate", hash.as_str()),
        ("tor-exit", "198.51.84.1\n2001:db8::84:1\n"),
    ] {
        std::fs::write(folder.join(name), lines).unwrap();
    }
    let feed = |name: &str, kind: &str| {
        format!(
            "[[feeds]]\nname = \"{name}\"\npath = \"{}\"\nkind = \"{kind}\"\n",
            folder.join(name).display()
        )
    };
    let feeds = [
        feed("bad", "auto"),
        feed("ja3", "ja3"),
        feed("ja3s", "ja3s"),
        feed("certificate", "certificate"),
        feed("tor-exit", "tor-exit"),
    ];
    let network = "[detect.network]\nlocal = [\"10.0.0.0/8\", \"fd00::/64\"]\n";
    std::fs::write(folder.join("lynceus.toml"), feeds.concat() + network + more).unwrap();
}
