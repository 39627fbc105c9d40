//! Snapshots of every screen, and that no size and no key breaks the drawing.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use crate::human::Clock;
use crate::tui::app::tests::{app, detail, overview, press};
use crate::tui::app::{App, Connection, Input};
use crate::tui::{Theme, draw};

fn screen(app: &mut App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(app, Theme::new(true), frame)).unwrap();
    terminal
}

/// Every screen by the keys that lead there.
const SCREENS: &[(&str, &str)] = &[
    ("main", ""),
    ("timeline", "\tgj"),
    ("why_alert", "\t\t\n"),
    ("why_evidence", "\t\tj\n"),
    ("source_ports", "e"),
    ("destination_ips", "d"),
    ("server_ports", "r"),
    ("out_tuples", "i"),
    ("sensors", "a"),
    ("help", "?"),
    ("filter", "/8.8"),
];

#[test]
fn screens_at_80_by_24() {
    for (name, keys) in SCREENS {
        let mut app = app();
        press(&mut app, keys);
        insta::assert_snapshot!(format!("{name}_80x24"), screen(&mut app, 80, 24).backend());
    }
}

#[test]
fn screens_in_a_wide_terminal() {
    for (name, keys) in SCREENS {
        let mut app = app();
        press(&mut app, keys);
        insta::assert_snapshot!(format!("{name}_180x45"), screen(&mut app, 180, 45).backend());
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
    let mut app = App::new("collector 127.0.0.1:7443".into(), Clock::utc(), Connection::Live);
    insta::assert_snapshot!("waiting_80x24", screen(&mut app, 80, 24).backend());
    app.update(Input::Overview(overview()));
    app.update(Input::Connection(Connection::Lost("connection refused".into())));
    insta::assert_snapshot!("lost_80x24", screen(&mut app, 80, 24).backend());
}

#[test]
fn flagged_profiles_are_red_and_without_color_still_marked() {
    let mut app = app();
    let colored = screen(&mut app, 100, 30);
    let red = colored
        .backend()
        .buffer()
        .content()
        .iter()
        .filter(|cell| cell.fg == Color::Red)
        .count();
    assert!(red > 0);

    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal
        .draw(|frame| draw(&mut app, Theme::new(false), frame))
        .unwrap();
    let buffer = terminal.backend().buffer();
    assert!(
        buffer
            .content()
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    assert!(terminal.backend().to_string().contains("!15.2"));
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
    let mut app = App::new("many".into(), Clock::utc(), Connection::Live);
    let begin = std::time::Instant::now();
    app.update(Input::Overview(world));
    screen(&mut app, 250, 80);
    let took = begin.elapsed();
    println!("10,000 profiles: first picture after {took:?}");
    assert!(took < std::time::Duration::from_secs(3), "{took:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any size, any keys, any moment: the drawing holds.
    #[test]
    fn nothing_panics(
        sizes in prop::collection::vec((1u16..130, 1u16..50), 1..4),
        keys in prop::collection::vec(key(), 0..30),
    ) {
        let mut app = app();
        for (width, height) in sizes {
            screen(&mut app, width, height);
            for key in &keys {
                app.update(Input::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
                screen(&mut app, width, height);
            }
            app.update(Input::Overview(overview()));
            app.update(Input::Detail(Box::new(detail())));
        }
    }
}

fn key() -> impl Strategy<Value = KeyCode> {
    prop_oneof![
        4 => prop::sample::select("?h/jkgGl[]fsedcpbriyaq ".chars().collect::<Vec<_>>()).prop_map(KeyCode::Char),
        2 => prop::sample::select(vec![
            KeyCode::Tab, KeyCode::BackTab, KeyCode::Enter, KeyCode::Esc, KeyCode::Up, KeyCode::Down,
            KeyCode::PageDown, KeyCode::PageUp, KeyCode::Home, KeyCode::End, KeyCode::Backspace,
        ]),
    ]
}
