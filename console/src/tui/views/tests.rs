//! Snapshots of every screen, and that no size and no key breaks the drawing.

mod dive;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use crate::desk::Answer;
use crate::human::Clock;
use crate::tui::app::tests::{answer, app, overview, press, window_answer};
use crate::tui::app::{App, Connection, Input, Pane};
use crate::tui::keys::{self, Screen};
use crate::tui::{Theme, draw};

fn screen(app: &mut App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal
}

/// Every screen by the keys that lead there.
const SCREENS: &[(&str, &str)] = &[
    ("main", ""),
    ("timeline", "\tgj"),
    ("evidence", "\t\tj"),
    ("why_alert", "\t\t\n"),
    ("why_evidence", "\t\tj\n"),
    ("source_ports", "e"),
    ("server_ports", "b"),
    ("destination_ips", "c"),
    ("destination_ports", "ps"),
    ("ports_and_ips", "n"),
    ("out_tuples", "h"),
    ("in_tuples", "i"),
    ("map", "m"),
    ("all_evidence", "z"),
    ("flows", "\t\tjF"),
    ("dossier", "cD"),
    ("dive", "O"),
    ("block", "cB\n"),
    ("sensors", "a"),
    ("help", "?"),
    ("filter", "/8.8"),
    ("filter_table", "c/country:us"),
];

fn snapshots(width: u16, height: u16) {
    for (name, keys) in SCREENS {
        let mut app = app();
        press(&mut app, keys);
        insta::assert_snapshot!(
            format!("{name}_{width}x{height}"),
            screen(&mut app, width, height).backend()
        );
    }
}

#[test]
fn screens_at_80_by_24() {
    snapshots(80, 24);
}

#[test]
fn screens_at_120_by_40() {
    snapshots(120, 40);
}

#[test]
fn screens_at_250_by_80() {
    snapshots(250, 80);
}

#[test]
fn every_screen_has_a_picture() {
    for wanted in Screen::ALL {
        let shown = SCREENS.iter().any(|(_, keys)| {
            let mut app = app();
            press(&mut app, keys);
            app.screen == wanted
        });
        assert!(shown, "{wanted:?}");
    }
}

#[test]
fn a_small_terminal_shows_the_pane_in_focus() {
    let mut app = app();
    press(&mut app, "\tg");
    insta::assert_snapshot!("timeline_40x10", screen(&mut app, 40, 10).backend());
}

#[test]
fn before_the_first_data_and_after_a_lost_connection() {
    let source = "collector 127.0.0.1:7443".to_owned();
    let mut app = App::new(source, Clock::utc(), Theme::Terminal, Connection::Live);
    insta::assert_snapshot!("waiting_80x24", screen(&mut app, 80, 24).backend());
    app.update(Input::Overview(overview()));
    app.update(Input::Connection(Connection::Lost("connection refused".into())));
    insta::assert_snapshot!("lost_80x24", screen(&mut app, 80, 24).backend());
}

#[test]
fn flagged_profiles_are_red_and_without_color_still_marked() {
    let mut app = app();
    let colored = screen(&mut app, 100, 30);
    let cells = colored.backend().buffer().content().iter();
    assert!(cells.filter(|cell| cell.fg == Color::Red).count() > 0);

    app.theme = Theme::Mono;
    for (_, keys) in SCREENS {
        press(&mut app, keys);
        let picture = screen(&mut app, 100, 30);
        let buffer = picture.backend().buffer();
        assert!(
            buffer
                .content()
                .iter()
                .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset),
            "{keys:?}"
        );
        press(&mut app, "\u{1b}\u{1b}\u{1b}\u{1b}");
    }
    assert!(screen(&mut app, 100, 30).backend().to_string().contains("!15.2"));
}

/// The footer and the help print what the dispatcher does: the same words from the same table.
#[test]
fn help_and_footer_say_what_the_keys_do() {
    for (_, keys) in SCREENS
        .iter()
        .filter(|(name, _)| !name.starts_with("help") && !name.starts_with("filter"))
    {
        let mut app = app();
        press(&mut app, keys);
        let at = app.screen;
        let footer = screen(&mut app, 400, 80).backend().to_string();
        for binding in keys::of(at) {
            let Some(hint) = binding.hint else { continue };
            if binding.action == keys::Action::Back && at == Screen::Main {
                continue;
            }
            assert!(
                footer.contains(&format!("{} {hint}", binding.keys[0].name())),
                "{at:?}: {hint}"
            );
        }
        press(&mut app, "?");
        let help = screen(&mut app, 160, 90).backend().to_string();
        for binding in keys::of(at) {
            let mut lines = help.lines().filter(|line| line.contains(binding.help));
            assert!(
                lines.any(|line| line.contains(&binding.names())),
                "{at:?}: {}",
                binding.help
            );
        }
    }
}

fn mouse(kind: MouseEventKind, column: usize, row: usize) -> Input {
    Input::Mouse(MouseEvent {
        kind,
        column: u16::try_from(column).unwrap(),
        row: u16::try_from(row).unwrap(),
        modifiers: KeyModifiers::NONE,
    })
}

/// Where a text stands on the screen.
fn find(picture: &Terminal<TestBackend>, text: &str) -> (usize, usize) {
    let buffer = picture.backend().buffer();
    let width = usize::from(buffer.area.width);
    let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    let wanted: Vec<String> = text.chars().map(String::from).collect();
    let at = cells.windows(wanted.len()).position(|cells| cells == wanted);
    at.map_or_else(
        || panic!("{text} is not on the screen"),
        |at| (at % width, at / width),
    )
}

#[test]
fn the_mouse_selects_opens_sorts_scrolls_and_presses_hints() {
    let click = |app: &mut App, text: &str| {
        let (column, row) = find(&screen(app, 120, 40), text);
        let effects = app.update(mouse(MouseEventKind::Down(MouseButton::Left), column, row));
        answer(app, &effects);
    };
    let mut app = app();
    click(&mut app, "8.8.8.8");
    assert_eq!(
        app.tree
            .selected_profile()
            .map(|profile| profile.ip.to_string())
            .as_deref(),
        Some("8.8.8.8")
    );
    click(&mut app, "192.168.2.12 (me)");
    click(&mut app, "ALERT");
    assert_eq!(app.pane, Pane::Evidence);
    click(&mut app, "ALERT");
    assert_eq!(app.screen, Screen::Why);
    click(&mut app, "Esc back");
    assert_eq!(app.screen, Screen::Main);
    click(&mut app, "93.184.216.34");
    assert_eq!(app.screen, Screen::Dossier, "addresses are links");
    press(&mut app, "\u{1b}p");
    click(&mut app, "packets");
    assert_eq!(app.sheets[0].sorted(), Some((2, true)));
    press(&mut app, "\u{1b}");
    let (column, row) = find(&screen(&mut app, 120, 40), "8.8.8.8");
    app.update(mouse(MouseEventKind::ScrollDown, column, row));
    assert_eq!(app.tree.cursor.selected, 2);
}

/// What a reader waits for at the first picture: sort, fold, draw. Generous for unoptimized code on a busy machine; an
/// accidental square of the number of profiles takes minutes.
#[test]
fn ten_thousand_profiles_are_no_matter() {
    let template = overview().profiles[0].clone();
    let profiles = (0..10_000u32).map(|n| crate::view::ProfileView {
        ip: std::net::Ipv4Addr::from(0x0a00_0000 + n).into(),
        ..template.clone()
    });
    let mut world = overview();
    world.profiles.extend(profiles);
    let mut app = App::new("many".into(), Clock::utc(), Theme::Terminal, Connection::Live);
    let begin = std::time::Instant::now();
    app.update(Input::Overview(world));
    screen(&mut app, 250, 80);
    let took = begin.elapsed();
    println!("10,000 profiles: first picture after {took:?}");
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any size, any keys, any moment: the drawing holds.
    #[test]
    fn nothing_panics(
        sizes in prop::collection::vec((1u16..130, 1u16..50), 1..4),
        keys in prop::collection::vec((key(), 0u16..130, 0u16..50, any::<bool>()), 0..30),
    ) {
        let mut app = app();
        for (width, height) in sizes {
            screen(&mut app, width, height);
            for (key, column, row, click) in &keys {
                let input = if *click {
                    mouse(MouseEventKind::Down(MouseButton::Left), usize::from(*column), usize::from(*row))
                } else {
                    Input::Key(KeyEvent::new(*key, KeyModifiers::NONE))
                };
                let effects = app.update(input);
                answer(&mut app, &effects);
                screen(&mut app, width, height);
            }
            app.update(Input::Overview(overview()));
            app.update(Input::Answer(Answer::Window(Box::new(window_answer()))));
        }
    }
}

fn key() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        4 => prop::sample::select("?h/jkgGl[]fsSedcpbrniymztaqwFDBY!CxXTo+- ".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        2 => prop::sample::select(vec![
            KeyCode::Tab, KeyCode::BackTab, KeyCode::Enter, KeyCode::Esc, KeyCode::Up, KeyCode::Down,
            KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::End, KeyCode::Backspace,
        ]),
    ]
}
