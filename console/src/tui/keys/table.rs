//! The table of keys.

use crossterm::event::KeyCode;

use super::{Action, Binding, Press, Scope, Screen};

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

const MAIN: &[Scope] = &[Scope::Main];
const PANES: &[Scope] = &[Scope::Main, Scope::Pairs];
const WINDOWS: &[Scope] = &[Scope::Main, Scope::Pairs, Scope::Lists];
const LISTS: &[Scope] = &[Scope::Main, Scope::Pairs, Scope::Lists, Scope::Findings];
const FINDINGS: &[Scope] = &[Scope::Main, Scope::Findings];
const REASONS: &[Scope] = &[Scope::Main, Scope::Findings, Scope::Text];
const TEXT: &[Scope] = &[Scope::Text];
const LISTS_AND_TEXT: &[Scope] = &[
    Scope::Main,
    Scope::Pairs,
    Scope::Lists,
    Scope::Findings,
    Scope::Text,
];
const BLOCK: &[Scope] = &[Scope::Block];
const TYPING: &[Scope] = &[Scope::Typing];
/// Everywhere but where a question waits for its answer.
const READING: &[Scope] = &[
    Scope::Main,
    Scope::Pairs,
    Scope::Lists,
    Scope::Findings,
    Scope::Text,
    Scope::Sensors,
];
const EVERYWHERE: &[Scope] = &[
    Scope::Main,
    Scope::Pairs,
    Scope::Lists,
    Scope::Findings,
    Scope::Text,
    Scope::Sensors,
    Scope::Block,
];

const fn ch(c: char) -> Press {
    Press::ch(c)
}

const fn code(code: KeyCode) -> Press {
    Press::code(code)
}

/// Every key of the terminal UI, in the order of the help. Letters of Kalipso keep their meaning
/// (`docs/decisions/0170`).
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(&[ch('?'), code(KeyCode::F(1))], Action::Help, Some("help"), "this help", EVERYWHERE),
    bind(&[ch('q'), Press::ctrl('c')], Action::Quit, Some("quit"), "quit", EVERYWHERE),
    bind(&[code(KeyCode::Esc)], Action::Back, Some("back"), "back, or clear the filter", EVERYWHERE),
    bind(&[code(KeyCode::Enter)], Action::Open, Some("open"), "open what is under the cursor: unfold, why, the address", LISTS),
    bind(&[code(KeyCode::Enter)], Action::Open, Some("profile"), "go to the profile of the address", TEXT),
    bind(&[code(KeyCode::Enter)], Action::TryBlock, Some("dry run"), "ask for a dry run: packets are counted, none is dropped", BLOCK),
    bind(&[ch('Y')], Action::ReallyBlock, Some("drop packets"), "drop packets, after a dry run that was accepted", BLOCK),
    bind(&[ch('+')], Action::Longer, Some("longer"), "block for a longer time", BLOCK),
    bind(&[ch('-')], Action::Shorter, Some("shorter"), "block for a shorter time", BLOCK),
    bind(&[code(KeyCode::Tab)], Action::NextPane, Some("pane"), "next pane", PANES),
    bind(&[code(KeyCode::BackTab)], Action::PreviousPane, None, "previous pane", PANES),
    bind(&[ch('/')], Action::Filter, Some("filter"), "filter the list in focus while you type", LISTS),
    bind(&[ch('!')], Action::NextAlert, Some("alert"), "next window with an alert", READING),
    bind(&[ch('w')], Action::Why, Some("why"), "why: all that is behind the evidence", FINDINGS),
    bind(&[ch('c'), ch('d')], Action::Show(Screen::DestinationIps), Some("peers"), "destination IPs, profile as client", READING),
    bind(&[ch('F')], Action::Flows, Some("flows"), "flows behind the evidence", REASONS),
    bind(&[ch('D')], Action::Dossier, Some("IP"), "all that is known of the address", LISTS_AND_TEXT),
    bind(&[ch('O')], Action::Dive, Some("outlier"), "why the window is an outlier: account, cases like it, patterns", READING),
    bind(&[ch('B')], Action::Block, Some("block"), "block the address: first a dry run", LISTS_AND_TEXT),
    bind(&[ch('m')], Action::Show(Screen::Map), Some("map"), "world map of the destinations", READING),
    bind(&[ch('z')], Action::Show(Screen::Findings), Some("all evidence"), "all evidence of the profile", READING),
    bind(&[ch('h')], Action::Show(Screen::OutTuples), Some("tuples"), "out tuples with behavioral letters", READING),
    bind(&[ch('i'), ch('y')], Action::Show(Screen::InTuples), None, "in tuples with behavioral letters", READING),
    bind(&[ch('p')], Action::Show(Screen::DestinationPorts), Some("ports"), "destination ports, profile as client", READING),
    bind(&[ch('n'), ch('t')], Action::Show(Screen::PortsAndIps), None, "destination ports with their IPs", READING),
    bind(&[ch('e')], Action::Show(Screen::SourcePorts), None, "source ports, profile as client", READING),
    bind(&[ch('b'), ch('r')], Action::Show(Screen::ServerPorts), None, "destination ports, profile as server", READING),
    bind(&[ch('a')], Action::Show(Screen::Sensors), None, "accounting: where every packet went", READING),
    bind(&[ch('s')], Action::Sort, Some("sort"), "sort by the next column", LISTS),
    bind(&[ch('S')], Action::ReverseSort, None, "the other way round", LISTS),
    bind(&[ch(']')], Action::NextWindow, Some("window"), "next window of the profile", WINDOWS),
    bind(&[ch('[')], Action::PreviousWindow, None, "previous window of the profile", WINDOWS),
    bind(&[ch('f')], Action::Follow, Some("follow"), "follow: stay at the newest line", MAIN),
    bind(&[ch(' ')], Action::Pause, Some("pause"), "pause: nothing on the screen changes", READING),
    bind(&[ch('C')], Action::Copy, None, "copy the address or the line (OSC 52)", LISTS_AND_TEXT),
    bind(&[ch('x')], Action::ExportCsv, Some("export"), "write what is shown to a CSV file", LISTS_AND_TEXT),
    bind(&[ch('X')], Action::ExportJson, None, "write what is shown to a JSON file", LISTS_AND_TEXT),
    bind(&[ch('j'), code(KeyCode::Down)], Action::Down, None, "down", EVERYWHERE),
    bind(&[ch('k'), code(KeyCode::Up)], Action::Up, None, "up", EVERYWHERE),
    bind(&[code(KeyCode::PageDown), Press::ctrl('f')], Action::PageDown, None, "a page down", EVERYWHERE),
    bind(&[code(KeyCode::PageUp), Press::ctrl('b')], Action::PageUp, None, "a page up", EVERYWHERE),
    bind(&[ch('g'), code(KeyCode::Home)], Action::First, None, "to the beginning", EVERYWHERE),
    bind(&[ch('G'), code(KeyCode::End)], Action::Last, None, "to the end", EVERYWHERE),
    bind(&[ch('l'), code(KeyCode::Right)], Action::Open, None, "unfold a profile or a row of alike attempts", MAIN),
    bind(&[code(KeyCode::Left)], Action::Fold, None, "fold it", MAIN),
    bind(&[ch('T')], Action::Theme, None, "next color theme", EVERYWHERE),
    bind(&[ch('o')], Action::Reload, None, "read everything anew", READING),
    bind(&[code(KeyCode::Enter)], Action::Keep, Some("keep"), "keep the filter", TYPING),
    bind(&[code(KeyCode::Esc)], Action::Clear, Some("clear"), "clear it", TYPING),
    bind(&[code(KeyCode::Backspace)], Action::Erase, None, "erase the last character", TYPING),
    bind(&[Press::ctrl('u')], Action::Clear, None, "clear it", TYPING),
    bind(&[Press::ctrl('c')], Action::Quit, None, "quit", TYPING),
    bind(&[code(KeyCode::Up)], Action::Up, None, "up in the list", TYPING),
    bind(&[code(KeyCode::Down)], Action::Down, None, "down in the list", TYPING),
];
