//! Keys: the dispatcher looks them up in one table, the help and the footer print the same table.

mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use table::BINDINGS;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Back,
    Help,
    Filter,
    NextPane,
    PreviousPane,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Fold,
    Follow,
    Pause,
    Sort,
    ReverseSort,
    PreviousWindow,
    NextWindow,
    NextAlert,
    Why,
    Flows,
    Dossier,
    Dive,
    Block,
    Copy,
    ExportCsv,
    ExportJson,
    Theme,
    Reload,
    Show(Screen),
    /// In the block dialog.
    TryBlock,
    ReallyBlock,
    Longer,
    Shorter,
    /// While a filter is typed.
    Keep,
    Clear,
    Erase,
}

/// What fills the body of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    /// Tree, address, timeline and evidence.
    Main,
    /// Why: one evidence or alert with everything behind it.
    Why,
    SourcePorts,
    ServerPorts,
    DestinationIps,
    DestinationPorts,
    PortsAndIps,
    OutTuples,
    InTuples,
    Map,
    /// All evidence of a profile.
    Findings,
    /// Flows behind an evidence or alert.
    Flows,
    /// All that is known of an address.
    Dossier,
    /// Why a window is an outlier, and all about it.
    Dive,
    /// Asking for packets to be dropped.
    Block,
    /// Accounting law, fills and losses of every sensor.
    Sensors,
}

impl Screen {
    pub const ALL: [Self; 16] = [
        Self::Main,
        Self::Why,
        Self::SourcePorts,
        Self::ServerPorts,
        Self::DestinationIps,
        Self::DestinationPorts,
        Self::PortsAndIps,
        Self::OutTuples,
        Self::InTuples,
        Self::Map,
        Self::Findings,
        Self::Flows,
        Self::Dossier,
        Self::Dive,
        Self::Block,
        Self::Sensors,
    ];

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Main => "profiles, timeline, evidence",
            Self::Why => "why",
            Self::SourcePorts => "source ports, profile as client",
            Self::ServerPorts => "destination ports, profile as server",
            Self::DestinationIps => "destination IPs, profile as client",
            Self::DestinationPorts => "destination ports, profile as client",
            Self::PortsAndIps => "destination ports with their IPs",
            Self::OutTuples => "out tuples",
            Self::InTuples => "in tuples",
            Self::Map => "where the destinations are",
            Self::Findings => "all evidence of the profile",
            Self::Flows => "flows behind it",
            Self::Dossier => "what is known of the address",
            Self::Dive => "why it is an outlier, and all about it",
            Self::Block => "block an address",
            Self::Sensors => "sensors: where every packet went",
        }
    }

    const fn group(self) -> Scope {
        match self {
            Self::Main => Scope::Main,
            Self::Why | Self::Dossier | Self::Dive => Scope::Text,
            Self::Sensors => Scope::Sensors,
            Self::Block => Scope::Block,
            Self::SourcePorts
            | Self::ServerPorts
            | Self::DestinationIps
            | Self::DestinationPorts
            | Self::PortsAndIps => Scope::Pairs,
            Self::OutTuples | Self::InTuples | Self::Map => Scope::Lists,
            Self::Findings | Self::Flows => Scope::Findings,
        }
    }
}

/// Screens in which a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Main,
    /// Established above not established.
    Pairs,
    /// One table about a window.
    Lists,
    /// One table that is not about a window.
    Findings,
    /// Running text about an evidence or an address.
    Text,
    Sensors,
    Block,
    /// While a filter is typed.
    Typing,
}

/// A key with its modifiers. Shift is part of the character (`G`), not a modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    code: KeyCode,
    ctrl: bool,
}

impl Press {
    const fn ch(c: char) -> Self {
        Self {
            code: KeyCode::Char(c),
            ctrl: false,
        }
    }

    const fn ctrl(c: char) -> Self {
        Self {
            code: KeyCode::Char(c),
            ctrl: true,
        }
    }

    const fn code(code: KeyCode) -> Self {
        Self { code, ctrl: false }
    }

    fn of(event: KeyEvent) -> Self {
        Self {
            code: event.code,
            ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
        }
    }

    /// The event that a terminal sends for it.
    #[must_use]
    pub const fn event(self) -> KeyEvent {
        let modifiers = if self.ctrl {
            KeyModifiers::CONTROL
        } else {
            KeyModifiers::NONE
        };
        KeyEvent::new(self.code, modifiers)
    }

    /// As the help prints it.
    #[must_use]
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::F(number) => format!("F{number}"),
            other => format!("{other:?}"),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    pub keys: &'static [Press],
    pub action: Action,
    pub help: &'static str,
    /// Short word for the footer, where the key is worth a place there.
    pub hint: Option<&'static str>,
    scopes: &'static [Scope],
}

impl Binding {
    #[must_use]
    pub fn works_in(&self, screen: Screen) -> bool {
        self.scopes.contains(&screen.group())
    }

    /// `j ↓`
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|press| press.name()).collect();
        names.join(" ")
    }
}

/// What `event` does in `screen`.
#[must_use]
pub fn action(screen: Screen, event: KeyEvent) -> Option<Action> {
    find(of(screen), event)
}

/// What `event` does while a filter is typed; `None`: it is text.
#[must_use]
pub fn typing(event: KeyEvent) -> Option<Action> {
    find(of_typing(), event)
}

fn find(mut bindings: impl Iterator<Item = &'static Binding>, event: KeyEvent) -> Option<Action> {
    let press = Press::of(event);
    let found = bindings.find(|binding| binding.keys.contains(&press));
    found.map(|binding| binding.action)
}

/// Keys that work in `screen`, in the order of the help.
pub fn of(screen: Screen) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.works_in(screen))
}

/// Keys that work while a filter is typed.
pub fn of_typing() -> impl Iterator<Item = &'static Binding> {
    BINDINGS
        .iter()
        .filter(|binding| binding.scopes.contains(&Scope::Typing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_on_a_screen() {
        let typing = ("typing".to_owned(), of_typing().collect::<Vec<_>>());
        let screens = Screen::ALL.map(|screen| (format!("{screen:?}"), of(screen).collect()));
        for (screen, bindings) in screens.into_iter().chain([typing]) {
            let mut seen: Vec<Press> = Vec::new();
            for press in bindings.iter().flat_map(|binding| binding.keys) {
                assert!(!seen.contains(press), "{} twice in {screen}", press.name());
                seen.push(*press);
            }
        }
    }

    #[test]
    fn every_key_in_the_help_is_dispatched_to_what_it_says() {
        for screen in Screen::ALL {
            for binding in of(screen) {
                for press in binding.keys {
                    assert_eq!(action(screen, press.event()), Some(binding.action));
                }
            }
        }
        for binding in of_typing() {
            for press in binding.keys {
                assert_eq!(typing(press.event()), Some(binding.action));
            }
        }
    }

    /// The letters that people know from Kalipso.
    #[test]
    fn the_letters_of_kalipso_open_its_screens() {
        for (key, screen) in [
            ('e', Screen::SourcePorts),
            ('b', Screen::ServerPorts),
            ('c', Screen::DestinationIps),
            ('p', Screen::DestinationPorts),
            ('n', Screen::PortsAndIps),
            ('h', Screen::OutTuples),
            ('i', Screen::InTuples),
            ('m', Screen::Map),
            ('z', Screen::Findings),
        ] {
            for from in Screen::ALL.into_iter().filter(|from| *from != Screen::Block) {
                assert_eq!(action(from, Press::ch(key).event()), Some(Action::Show(screen)));
            }
        }
        assert_eq!(action(Screen::Main, Press::ch('?').event()), Some(Action::Help));
    }

    #[test]
    fn the_manual_names_every_key() {
        let manual = include_str!("../../../docs/console.md");
        for press in BINDINGS.iter().flat_map(|binding| binding.keys) {
            let name = press.name();
            assert!(
                manual.contains(&format!("`{name}`")) || name.len() > 1 && manual.contains(&name),
                "{name}"
            );
        }
    }

    #[test]
    fn upper_case_letters_arrive_with_shift() {
        let event = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action(Screen::Main, event), Some(Action::Last));
    }
}
