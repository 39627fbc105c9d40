//! Command and control: a channel whose behavioral letters look like those of a program that waits for orders.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::is_target;
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel,
};
use lynceus_model::profile::{Cell, LetterKey, Letters, TupleKey};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId};
use lynceus_model::words::plural;
use serde::{Deserialize, Serialize};

use crate::generations::Generations;
use crate::letters_model::{Model, Reader};
use crate::ports::News;
use crate::report::{With, evidence, feature, is_private, samples};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`CommandAndControl`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// The model's score, 0 to 1, above which a channel is reported; `data/letters_model.toml` says how it was chosen.
    pub min_score: f64,
    /// Characters at which it is as sure as it gets.
    pub sure_at: u64,
    /// Shorter gaps, on average, are a program in a loop; letters cannot tell milliseconds from seconds.
    #[serde(with = "humantime_serde")]
    pub min_gap: Duration,
    /// Also servers with private addresses: printers, directories and monitoring are called by the clock.
    pub internal: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_score: 0.999691,
            sure_at: 100,
            min_gap: Duration::from_millis(100),
            internal: false,
        }
    }
}

/// Reads the letters of every outgoing TCP tuple as they grow, refused attempts included, and judges at every third
/// character. A channel is one finding that grows, with its mirror image in the profile of the server.
#[derive(Debug)]
pub struct CommandAndControl {
    config: Config,
    news: News,
    readers: Generations<(WindowId, SensorId, LetterKey), Reader>,
    channels: Generations<Key, Channel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    client: IpAddr,
    server: IpAddr,
    port: u16,
}

/// What was found of a channel.
#[derive(Clone, Copy, Debug)]
struct Channel {
    /// Where the finding stands, however long the channel goes on.
    home: WindowId,
    number: i64,
    first: Timestamp,
    /// Highest score so far.
    score: f32,
    /// The window that was read last, and what was found in it and in all before it.
    window: WindowId,
    here: Length,
    before: Length,
    /// Characters and flows when it was last said, and how often it was.
    said: Length,
    times: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Length {
    characters: u64,
    flows: u64,
}

/// The letters of a tuple up to where they were judged a channel last.
struct Judged {
    score: f32,
    /// Characters at the first and at the last time.
    first: usize,
    last: usize,
}

impl CommandAndControl {
    /// Twice this many texts are kept half read, about 20 MB; one that is forgotten is read again from its beginning.
    const MAX_READERS: usize = 65_536;
    /// Twice this many channels are kept; one that is forgotten is a new finding in the window where it is read next.
    const MAX_CHANNELS: usize = 8_192;

    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            news: News::default(),
            readers: Generations::new(Self::MAX_READERS),
            channels: Generations::new(Self::MAX_CHANNELS),
        }
    }

    /// Reads what is new of a text.
    fn read(&mut self, window: WindowId, sensor: SensorId, key: LetterKey, text: &str) -> Option<Judged> {
        let id = (window, sensor, key);
        if text.len() < Reader::MIN_CHARACTERS {
            return None;
        }
        if self.readers.touch(id).is_none() {
            self.readers.insert(id, Reader::default());
        }
        let reader = self.readers.touch(id)?;
        let mut judged: Option<Judged> = None;
        for character in text.bytes().skip(reader.length()) {
            let score = reader.read(Model::shipped(), character);
            let Some(score) = score.filter(|score| f64::from(*score) > self.config.min_score) else {
                continue;
            };
            let length = reader.length();
            judged = Some(judged.map_or(
                Judged {
                    score,
                    first: length,
                    last: length,
                },
                |judged| Judged {
                    score: judged.score.max(score),
                    last: length,
                    ..judged
                },
            ));
        }
        judged
    }

    /// Notes what was read and says what is new enough.
    fn note(
        &mut self,
        update: &ProfileUpdate<'_>,
        key: LetterKey,
        letters: &Letters,
        judged: Option<&Judged>,
    ) -> Vec<Evidence> {
        let window = update.profile.window;
        let id = Key {
            client: window.profile,
            server: key.ip,
            port: key.port,
        };
        let mut found = Vec::new();
        if self.channels.touch(id).is_none() {
            let Some(judged) = judged.filter(|_| gap(update, &key) >= self.config.min_gap) else {
                return found;
            };
            let channel = Channel {
                home: window,
                number: update.number,
                first: times(update, &key).0,
                score: judged.score,
                window,
                // The first word is what it was when the letters first looked so, however deltas were cut.
                here: Length {
                    characters: judged.first as u64,
                    flows: flows_in(letters, judged.first),
                },
                before: Length::default(),
                said: Length::default(),
                times: 0,
            };
            self.channels.insert(id, channel);
        }
        let closed = update.stage == Stage::Closed;
        let Some(channel) = self.channels.touch(id) else {
            return found;
        };
        if channel.times == 0 {
            found.extend(say(&self.config, update, &key, channel, letters));
        }
        if let Some(judged) = judged {
            channel.grow(window, letters, judged);
        }
        if closed {
            channel.go_on(window, letters);
        }
        let (all, said) = (channel.length(), channel.said);
        let more = all.characters > said.characters || all.flows > said.flows;
        if all.characters >= said.characters + said.characters / 2 || closed && more {
            found.extend(say(&self.config, update, &key, channel, letters));
        }
        found
    }
}

impl Channel {
    fn grow(&mut self, window: WindowId, letters: &Letters, judged: &Judged) {
        if window.start > self.window.start {
            self.before.characters += self.here.characters;
            self.before.flows += self.here.flows;
            (self.here, self.window) = (Length::default(), window);
        }
        if window == self.window && judged.last as u64 > self.here.characters {
            self.here = Length {
                characters: judged.last as u64,
                flows: flows_in(letters, judged.last),
            };
        }
        self.score = self.score.max(judged.score);
    }

    /// Letters have a bound, channels have none: where what could be read looks so to its end, the flows behind it count.
    fn go_on(&mut self, window: WindowId, letters: &Letters) {
        let length = letters.text.len();
        let is_full = letters.version > flows_in(letters, length);
        let last_judged = length - length % Reader::EVERY;
        if window == self.window && is_full && self.here.characters == last_judged as u64 {
            self.here.flows = letters.version;
        }
    }

    const fn length(&self) -> Length {
        Length {
            characters: self.before.characters + self.here.characters,
            flows: self.before.flows + self.here.flows,
        }
    }
}

impl Detector for CommandAndControl {
    fn name(&self) -> &'static str {
        "command_and_control"
    }

    fn refused(&self) -> u64 {
        self.readers.refused() + self.channels.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let mut found = Vec::new();
        if update.stage == Stage::Partial {
            // Letters that came with it are read with the next update.
            self.news.is_due(update, !update.delta.letters.is_empty());
            return found;
        }
        let window = update.profile.window;
        // At the end of a window all that was found is said as it is then; before, only new letters can tell anything.
        let closed = update.stage == Stage::Closed;
        let changed = if closed || self.news.take_pending(update) {
            &update.profile.letters
        } else {
            &update.delta.letters
        };
        for (sensor, key, _) in changed.entries() {
            let known = key.port == DNS || !self.config.internal && is_private(key.ip);
            if key.incoming || key.protocol != TCP || !is_target(key.ip) || known {
                continue;
            }
            // The merged letters: a sensor that began anew may have written less.
            let Some(letters) = update.profile.letters.get(sensor, key) else {
                continue;
            };
            let judged = self.read(window, sensor, *key, &letters.text);
            if judged.is_some() || update.stage == Stage::Closed {
                found.extend(self.note(update, *key, letters, judged.as_ref()));
            }
            if update.stage == Stage::Closed {
                self.readers.remove(&(window, sensor, *key));
            }
        }
        found
    }
}

const TCP: u8 = 6;
/// Tunnels through DNS have a detector of their own.
const DNS: u16 = 53;

/// The finding and its mirror image, as they are now.
fn say(
    config: &Config,
    update: &ProfileUpdate<'_>,
    key: &LetterKey,
    channel: &mut Channel,
    letters: &Letters,
) -> [Evidence; 2] {
    let client = channel.home.profile;
    let (server, port) = (key.ip, key.port);
    let revision = channel.times;
    let Length { characters, flows } = channel.length();
    (channel.times, channel.said) = (revision + 1, channel.length());
    let id_key = format!("{server}|{port}|{}", key.protocol);
    let there = WindowId {
        profile: server,
        start: channel.home.start,
    };
    let kind = EvidenceType::CommandAndControlChannel;
    let other_key = format!("from|{client}|{id_key}");
    let (here_id, there_id) = (
        EvidenceId::new(update.sensor, kind, channel.home, &id_key),
        EvidenceId::new(update.sensor, kind, there, &other_key),
    );
    let (_, last, ids) = times(update, key);
    let at_least = if update.profile.not_carried.letters > 0 {
        "at least "
    } else {
        ""
    };
    let of_client = Evidence {
        id: here_id,
        window_start: channel.home.start,
        window: channel.number,
        victim: Some(server),
        dst_port: Some(port),
        protocol: Some(key.protocol),
        threat_level: ThreatLevel::High,
        confidence: Confidence::new(characters as f64 / config.sure_at.max(1) as f64),
        description: format!(
            "C&C channel: {client} calls {server} port {port}/tcp in the manner of a program that waits for orders: \
             {at_least}{}, score {:.4}.",
            plural(flows, "flow", "flows"),
            channel.score
        ),
        explanation: explain(config, channel, letters),
        flows: samples(ids),
        first: channel.first,
        last: last.max(channel.first),
        revision,
        related: vec![there_id],
        ..evidence(update, kind, &id_key)
    };
    let of_server = Evidence {
        id: there_id,
        profile: server,
        attacker: server,
        attacker_side: AttackerSide::Destination,
        victim: Some(client),
        related: vec![here_id],
        ..of_client.clone()
    };
    [of_client, of_server]
}

fn explain(config: &Config, channel: &Channel, letters: &Letters) -> Explanation {
    let text = letters.text.as_bytes();
    let read = &text[..text.len().min(channel.here.characters as usize)];
    let of = |set: &[u8]| read.iter().filter(|letter| set.contains(letter)).count() as f64;
    let (strong, weak) = (of(b"abcdefghi"), of(b"ABCDEFGHI"));
    let other = of(b"rstuvwxyzRSTUVWXYZ123456789");
    let all = (strong + weak + other).max(1.0);
    let small = of(b"abcABCrstRST123") / all;
    let tail = String::from_utf8_lossy(&read[read.len().saturating_sub(48)..]);
    let Length { characters, flows } = channel.length();
    // More flows than letters: the text is full, and the channel went on (`Channel::go_on`).
    let which = if channel.here.flows > flows_in(letters, read.len()) {
        format!("The first {} behavioral letters and marks", read.len())
    } else {
        "The behavioral letters".to_owned()
    };
    Explanation {
        features: vec![
            feature("score of the letters", f64::from(channel.score), "of 1").threshold(config.min_score),
            feature("letters", characters as f64, "characters").threshold(Reader::MIN_CHARACTERS as f64),
            feature("flows", flows as f64, "flows"),
            feature("strongly periodic", strong / all, "share of flows"),
            feature("weakly periodic", weak / all, "share of flows"),
            feature("at most 250 bytes", small, "share of flows"),
        ],
        text: format!(
            "{which} of this tuple end with {tail}: {:.0} % of the flows came after gaps that differ by at \
             most 5 %, {:.0} % by at most 30 %. A sequence model trained on made-up channels and good programs gives \
             {:.4}; {} is the limit. Confidence is the number of characters over {}.",
            100.0 * strong / all,
            100.0 * weak / all,
            channel.score,
            config.min_score,
            config.sure_at
        ),
    }
}

/// Mean time between the flows of a tuple, where its rows are known.
fn gap(update: &ProfileUpdate<'_>, key: &LetterKey) -> Duration {
    let rows = rows(update, key);
    let flows: u64 = rows.iter().map(|cell| cell.counts.flows).sum();
    let first = rows.iter().map(|cell| cell.earliest.first).min();
    let last = rows.iter().map(|cell| cell.last).max();
    match first.zip(last) {
        Some((first, last)) if flows > 1 => last.since(first).div_f64((flows - 1) as f64),
        _ => Duration::MAX,
    }
}

/// First and last time of a tuple as far as its rows tell, and the flows that the rows name.
fn times(
    update: &ProfileUpdate<'_>,
    key: &LetterKey,
) -> (Timestamp, Timestamp, Vec<lynceus_model::flow::CommunityId>) {
    let profile = update.profile;
    let (start, end) = profile
        .span
        .unwrap_or((profile.window.start, profile.window.start));
    let rows = rows(update, key);
    (
        rows.iter().map(|cell| cell.earliest.first).min().unwrap_or(start),
        rows.iter().map(|cell| cell.last).max().unwrap_or(end),
        rows.iter().map(|cell| cell.earliest.community_id).collect(),
    )
}

/// Established and not established.
fn rows<'a>(update: &ProfileUpdate<'a>, key: &LetterKey) -> Vec<&'a Cell> {
    let states = [true, false].into_iter();
    states
        .filter_map(|established| {
            let row = TupleKey {
                established,
                protocol: key.protocol,
                port: key.port,
                ip: key.ip,
            };
            update.profile.out_tuples.get(&row)
        })
        .collect()
}

/// Flows that the first so many characters stand for: each has one letter or digit.
fn flows_in(letters: &Letters, characters: usize) -> u64 {
    let text = letters.text.as_bytes();
    let read = &text[..text.len().min(characters)];
    read.iter()
        .filter(|character| character.is_ascii_alphabetic() || (b'1'..=b'9').contains(character))
        .count() as u64
}
