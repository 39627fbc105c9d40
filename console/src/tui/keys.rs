//! The one table of keys: the dispatcher looks keys up in it, the help overlay and the footer print it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

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
    Sort,
    PreviousWindow,
    NextWindow,
    Show(Screen),
}

/// What fills the body of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Screen {
    /// Tree, timeline and evidence.
    Main,
    /// Why: one evidence or alert with everything behind it.
    Why,
    SourcePorts,
    DestinationIps,
    DestinationPorts,
    ServerPorts,
    OutTuples,
    InTuples,
    /// Accounting law, fills and losses of every sensor.
    Sensors,
}

impl Screen {
    pub const ALL: [Self; 9] = [
        Self::Main,
        Self::Why,
        Self::SourcePorts,
        Self::DestinationIps,
        Self::DestinationPorts,
        Self::ServerPorts,
        Self::OutTuples,
        Self::InTuples,
        Self::Sensors,
    ];

    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Main => "profiles, timeline, evidence",
            Self::Why => "why",
            Self::SourcePorts => "source ports, profile as client",
            Self::DestinationIps => "destination IPs, profile as client",
            Self::DestinationPorts => "destination ports, profile as client",
            Self::ServerPorts => "own ports, profile as server",
            Self::OutTuples => "out tuples and their behavioral letters",
            Self::InTuples => "in tuples and their behavioral letters",
            Self::Sensors => "sensors: where every packet went",
        }
    }

    const fn group(self) -> Scope {
        match self {
            Self::Main => Scope::Main,
            Self::Why | Self::Sensors => Scope::Text,
            Self::SourcePorts | Self::DestinationIps | Self::DestinationPorts | Self::ServerPorts => {
                Scope::Tables
            }
            Self::OutTuples | Self::InTuples => Scope::Tuples,
        }
    }
}

/// Screens in which a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Main,
    /// Established and not established side by side.
    Tables,
    Tuples,
    /// Running text that only scrolls.
    Text,
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
        self.scopes.contains(&Scope::Everywhere) || self.scopes.contains(&screen.group())
    }

    /// `j ↓`
    #[must_use]
    pub fn names(&self) -> String {
        self.keys
            .iter()
            .map(|press| press.name())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

const fn bind(
    keys: &'static [Press],
    action: Action,
    hint: Option<&'static str>,
    help: &'static str,
    scopes: &'static [Scope],
) -> Binding {
    Binding {
        keys,
        action,
        help,
        hint,
        scopes,
    }
}

const EVERYWHERE: &[Scope] = &[Scope::Everywhere];
const MAIN: &[Scope] = &[Scope::Main];
const PANES: &[Scope] = &[Scope::Main, Scope::Tables];
const OF_A_WINDOW: &[Scope] = &[Scope::Main, Scope::Tables, Scope::Tuples];

/// Every key of the terminal UI. Letters of Kalipso keep their meaning (`docs/decisions/0080`).
pub const BINDINGS: &[Binding] = &[
    bind(
        &[Press::ch('?'), Press::ch('h')],
        Action::Help,
        Some("help"),
        "this help",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('/')],
        Action::Filter,
        Some("filter"),
        "filter the pane in focus while you type",
        MAIN,
    ),
    bind(
        &[Press::code(KeyCode::Enter)],
        Action::Open,
        Some("open"),
        "unfold, or show why",
        MAIN,
    ),
    bind(
        &[Press::code(KeyCode::Tab)],
        Action::NextPane,
        Some("pane"),
        "next pane",
        PANES,
    ),
    bind(
        &[Press::code(KeyCode::BackTab)],
        Action::PreviousPane,
        None,
        "previous pane",
        PANES,
    ),
    bind(
        &[Press::ch('j'), Press::code(KeyCode::Down)],
        Action::Down,
        None,
        "down",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('k'), Press::code(KeyCode::Up)],
        Action::Up,
        None,
        "up",
        EVERYWHERE,
    ),
    bind(
        &[Press::code(KeyCode::PageDown), Press::ctrl('f')],
        Action::PageDown,
        None,
        "a page down",
        EVERYWHERE,
    ),
    bind(
        &[Press::code(KeyCode::PageUp), Press::ctrl('b')],
        Action::PageUp,
        None,
        "a page up",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('g'), Press::code(KeyCode::Home)],
        Action::First,
        None,
        "to the beginning",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('G'), Press::code(KeyCode::End)],
        Action::Last,
        None,
        "to the end",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('l'), Press::code(KeyCode::Right)],
        Action::Open,
        None,
        "unfold a profile or a row of alike attempts",
        MAIN,
    ),
    bind(&[Press::code(KeyCode::Left)], Action::Fold, None, "fold it", MAIN),
    bind(
        &[Press::ch('[')],
        Action::PreviousWindow,
        None,
        "previous window of the profile",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch(']')],
        Action::NextWindow,
        Some("window"),
        "next window of the profile",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('f')],
        Action::Follow,
        Some("follow"),
        "follow: stay at the newest line",
        MAIN,
    ),
    bind(
        &[Press::ch('s')],
        Action::Sort,
        Some("sort"),
        "sort profiles by threat, address, traffic",
        MAIN,
    ),
    bind(
        &[Press::ch('e')],
        Action::Show(Screen::SourcePorts),
        Some("ports"),
        "source ports, profile as client",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('d'), Press::ch('c')],
        Action::Show(Screen::DestinationIps),
        None,
        "destination IPs, profile as client",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('p')],
        Action::Show(Screen::DestinationPorts),
        None,
        "destination ports, profile as client",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('r'), Press::ch('b')],
        Action::Show(Screen::ServerPorts),
        None,
        "own ports, profile as server",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('i')],
        Action::Show(Screen::OutTuples),
        Some("tuples"),
        "out tuples with behavioral letters",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('y')],
        Action::Show(Screen::InTuples),
        None,
        "in tuples with behavioral letters",
        OF_A_WINDOW,
    ),
    bind(
        &[Press::ch('a')],
        Action::Show(Screen::Sensors),
        Some("accounting"),
        "sensors: where every packet went",
        EVERYWHERE,
    ),
    bind(
        &[Press::code(KeyCode::Esc)],
        Action::Back,
        Some("back"),
        "close, or clear the filter",
        EVERYWHERE,
    ),
    bind(
        &[Press::ch('q'), Press::ctrl('c')],
        Action::Quit,
        Some("quit"),
        "quit",
        EVERYWHERE,
    ),
];

/// What `event` does in `screen`.
#[must_use]
pub fn action(screen: Screen, event: KeyEvent) -> Option<Action> {
    let press = Press::of(event);
    BINDINGS
        .iter()
        .find(|binding| binding.works_in(screen) && binding.keys.contains(&press))
        .map(|binding| binding.action)
}

/// Keys that work in `screen`, in the order of the help.
pub fn of(screen: Screen) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| binding.works_in(screen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_on_a_screen() {
        for screen in Screen::ALL {
            let mut seen: Vec<Press> = Vec::new();
            for press in of(screen).flat_map(|binding| binding.keys) {
                assert!(!seen.contains(press), "{} twice in {screen:?}", press.name());
                seen.push(*press);
            }
        }
    }

    #[test]
    fn every_key_in_the_help_is_dispatched_to_what_it_says() {
        for screen in Screen::ALL {
            for binding in of(screen) {
                for press in binding.keys {
                    let modifiers = if press.ctrl {
                        KeyModifiers::CONTROL
                    } else {
                        KeyModifiers::NONE
                    };
                    assert_eq!(
                        action(screen, KeyEvent::new(press.code, modifiers)),
                        Some(binding.action)
                    );
                }
            }
        }
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
