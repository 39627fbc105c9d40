//! Downloads of programs without encryption.

use std::net::IpAddr;

use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};

use crate::config::OnlyEnabled;
use crate::report::{With, feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`ExecutableMimeType`].
pub type Config = OnlyEnabled;

/// What servers say of a file that they do not know, as of most programs and of much else: only info.
const UNKNOWN: &str = "application/octet-stream";

/// Media types of programs.
const EXECUTABLE: &[&str] = &[
    UNKNOWN,
    "application/vnd.microsoft.portable-executable",
    "application/x-dosexec",
    "application/x-msdownload",
    "application/x-msdos-program",
    "application/x-executable",
    "application/x-elf",
    "application/x-sharedlib",
    "application/x-mach-o-executable",
    "application/x-mach-binary",
    "application/java-vm",
    "application/java-archive",
    "application/x-java-archive",
];

/// One finding for each server and media type, by the header of the answer or by content where files were looked at.
#[derive(Debug)]
pub struct ExecutableMimeType {
    downloads: Tallies<(IpAddr, &'static str), u16>,
}

impl ExecutableMimeType {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            downloads: Tallies::new(),
        }
    }
}

impl Detector for ExecutableMimeType {
    fn name(&self) -> &'static str {
        "executable_mime_type"
    }

    fn refused(&self) -> u64 {
        self.downloads.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let Some(mime) = executable(record) {
                let server = record.tuple.responder;
                if let Some(tally) = self.downloads.note(window, (server.ip, mime), record) {
                    tally.detail = server.port;
                }
            }
        }
        let found = self.downloads.say(window, |(server, mime), tally| {
            let key = format!("{server}/{mime}");
            let (level, what) = if *mime == UNKNOWN {
                (ThreatLevel::Info, "a file that may be an executable")
            } else {
                (ThreatLevel::Low, "an executable")
            };
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(tally.detail),
                subject: Some((*mime).to_owned()),
                threat_level: level,
                confidence: Confidence::new(1.0),
                description: format!(
                    "{} downloaded {what} ({mime}) from {server} without encryption.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![
                        feature("answers of this type", tally.count as f64, "messages").threshold(1.0),
                    ],
                    text: format!("The server called what it sent {mime}, or its content showed it."),
                },
                ..grown(update, EvidenceType::ExecutableMimeType, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, level))
        });
        self.downloads.close(update);
        found
    }
}

fn executable(record: &AppRecord) -> Option<&'static str> {
    let mime = match &record.event {
        AppEvent::HttpResponse(response) if (200..300).contains(&response.status) => {
            response.mime.as_deref()?
        }
        AppEvent::File(file) if file.source.eq_ignore_ascii_case("http") => file.mime.as_deref()?,
        _ => return None,
    };
    EXECUTABLE.iter().copied().find(|known| *known == mime)
}
