//! Tests of the state of the terminal UI.

#[path = "tests/world.rs"]
mod world;

use std::time::Duration;

use lynceus_model::time::Timestamp;

use super::*;
pub(crate) use world::*;

fn screen_of(keys: &str) -> Screen {
    let mut app = app();
    press(&mut app, keys);
    app.screen
}

#[test]
fn the_most_threatening_window_is_asked_for_first() {
    let app = app();
    assert_eq!(app.wanted.map(|key| key.profile), Some(ip("192.168.2.12")));
    assert_eq!(app.findings, [Finding::Alert(0), Finding::Evidence(0)]);
}

#[test]
fn moving_in_the_tree_asks_for_the_window_under_the_cursor() {
    let mut app = app();
    let effects = press(&mut app, "j");
    assert!(
        matches!(effects[..], [Effect::Ask(Request::Window(key))] if key.profile == ip("8.8.8.8")),
        "{effects:?}"
    );
    // An answer that comes late, for a window that nobody looks at any more, is not shown.
    let before = app.detail.as_ref().map(|detail| detail.id);
    let mut late = window_answer();
    late.detail.id.profile = ip("192.168.2.1");
    app.update(Input::Answer(Answer::Window(Box::new(late))));
    assert_eq!(app.detail.as_ref().map(|detail| detail.id), before);
}

#[test]
fn live_data_reloads_the_window_on_the_screen() {
    let mut app = app();
    assert_eq!(
        app.update(Input::Overview(overview())),
        [Effect::Ask(Request::Window(detail().id))]
    );
    app.update(Input::Connection(Connection::Finished));
    assert_eq!(app.update(Input::Overview(overview())), []);
}

#[test]
fn the_filter_takes_letters_that_are_keys_elsewhere() {
    let mut app = app();
    press(&mut app, "/8.8");
    assert_eq!(app.filter().text, "8.8");
    assert_eq!(app.tree.rows().len(), 1);
    assert_eq!(press(&mut app, "\nq"), [Effect::Quit]);
    press(&mut app, "\u{1b}");
    assert_eq!(app.tree.rows().len(), 3);
}

#[test]
fn filters_over_profiles_ask_for_what_profiles_do_not_come_with() {
    let mut app = app();
    press(&mut app, "/type:scan");
    assert_eq!(app.tree.rows().len(), 1);
    press(&mut app, "\u{1b}/type:dga");
    assert_eq!(app.tree.rows().len(), 0);
    press(&mut app, "\u{1b}/port:x");
    assert!(app.filter().fault.is_some(), "not understood is told");
}

#[test]
fn why_opens_on_a_finding_and_closes_again() {
    let mut app = app();
    press(&mut app, "\t\t\n");
    assert_eq!(app.screen, Screen::Why);
    assert!(matches!(app.reason, Some(Reason::Alert(..))));
    press(&mut app, "\u{1b}");
    assert_eq!(app.screen, Screen::Main);
}

#[test]
fn from_evidence_one_key_leads_to_why_flows_address_and_block() {
    for (keys, screen) in [
        ("w", Screen::Why),
        ("\t\tjF", Screen::Flows),
        ("\t\tjD", Screen::Dossier),
        ("\t\tjB", Screen::Block),
        ("zw", Screen::Why),
        ("zF", Screen::Flows),
        ("zgwF", Screen::Flows),
        ("c\n", Screen::Dossier),
        ("h\n", Screen::Dossier),
        ("\tgj\n", Screen::Dossier),
    ] {
        assert_eq!(screen_of(keys), screen, "{keys:?}");
    }
    // And every way leads back.
    let mut app = app();
    press(&mut app, "zgwF\nB\u{1b}\u{1b}\u{1b}\u{1b}");
    assert_eq!(app.screen, Screen::Findings);
    press(&mut app, "\u{1b}");
    assert_eq!(app.screen, Screen::Main);
}

#[test]
fn nothing_is_blocked_before_a_dry_run_was_accepted() {
    let mut app = app();
    press(&mut app, "\t\tjB");
    assert_eq!(press(&mut app, "Y"), [], "no order before a dry run");
    assert!(matches!(app.blocking.as_ref().unwrap().outcome, Some(Err(_))));
    let dry = press(&mut app, "+\n");
    assert!(
        matches!(&dry[..], [Effect::Ask(Request::Block(order))] if order.dry_run && order.time == Duration::from_secs(6 * 3600))
    );
    let real = press(&mut app, "Y");
    assert!(
        matches!(&real[..], [Effect::Ask(Request::Block(order))] if !order.dry_run && order.reason == "horizontal_port_scan")
    );
    // Another address begins anew.
    press(&mut app, "\u{1b}\u{1b}cB");
    assert_eq!(press(&mut app, "Y"), []);
}

#[test]
fn following_stops_when_the_reader_moves_up_and_resumes_at_the_end() {
    let mut app = app();
    assert!(app.follow);
    press(&mut app, "\tk");
    assert!(!app.follow);
    press(&mut app, "G");
    assert!(app.follow);
}

#[test]
fn while_paused_nothing_changes_and_nothing_is_lost() {
    let mut app = app();
    press(&mut app, " ");
    let mut grown = overview();
    grown.profiles.remove(0);
    assert_eq!(app.update(Input::Overview(grown)), []);
    assert_eq!(app.tree.rows().len(), 3);
    press(&mut app, " ");
    assert_eq!(app.tree.rows().len(), 2);
}

#[test]
fn a_hotkey_opens_its_screen_and_closes_it() {
    let mut app = app();
    press(&mut app, "e");
    assert_eq!(app.screen, Screen::SourcePorts);
    press(&mut app, "i");
    assert_eq!(app.screen, Screen::InTuples);
    press(&mut app, "i");
    assert_eq!(app.screen, Screen::Main);
}

#[test]
fn the_next_alert_is_found_from_anywhere() {
    let mut app = app();
    let effects = press(&mut app, "jm!");
    assert_eq!(app.screen, Screen::Main);
    assert_eq!(effects, [Effect::Ask(Request::Window(detail().id))]);
    assert!(matches!(app.selected_finding(), Some(Reason::Alert(..))));
}

#[test]
fn a_port_leads_to_its_lines_of_the_timeline() {
    let mut app = app();
    press(&mut app, "p\n");
    assert_eq!((app.screen, app.pane), (Screen::Main, Pane::Timeline));
    assert_eq!(app.filter().text, "port:443");
    assert_eq!(app.timeline.lines().len(), 2);
}

#[test]
fn what_is_shown_is_exported_in_its_order() {
    let mut app = app();
    let effects = press(&mut app, "hx");
    let [
        Effect::Export {
            name,
            ending,
            content,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (name.as_str(), *ending),
        ("lynceus-out-tuples-192.168.2.12", "csv")
    );
    assert_eq!(
        content,
        "table,tuple,letters,name,network,CN,listed,flows,packets,bytes\n\
         Tuples,93.184.216.34 443/tcp,88*y*y*i*H*y*0y*H*,example.com,AS15133 Edgecast Inc.,US,,12,340,230000\n"
    );
    let effects = press(&mut app, "pssX");
    let [
        Effect::Export {
            content,
            ending: "json",
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    let tables: serde_json::Value = serde_json::from_str(content).unwrap();
    assert_eq!(tables[0]["table"], "Established");
    assert_eq!(tables[0]["rows"][0]["flows"], 40);
    assert_eq!(tables[1]["rows"][0]["bytes"], 9600);
    // Every other list has a table too, in both forms.
    for keys in ["", "\t", "\t\t", "w", "D", "z", "c", "n", "m", "\t\tjF"] {
        let mut app = self::app();
        press(&mut app, keys);
        for key in ["x", "X"] {
            let effects = press(&mut app, key);
            let [Effect::Export { content, ending, .. }] = &effects[..] else {
                panic!("{keys:?} {effects:?}")
            };
            assert!(
                content.lines().count() >= if *ending == "csv" { 2 } else { 1 },
                "{keys:?}: {content}"
            );
            if *ending == "json" {
                serde_json::from_str::<serde_json::Value>(content).unwrap();
            }
        }
    }
}

#[test]
fn the_address_under_the_cursor_is_copied() {
    let mut app = app();
    assert_eq!(press(&mut app, "C"), [Effect::Copy("192.168.2.12".into())]);
    assert_eq!(press(&mut app, "\tgC"), [Effect::Copy("192.168.2.1".into())]);
    assert_eq!(
        press(&mut app, "jC"),
        [Effect::Copy("93.184.216.34".into())],
        "of the answer"
    );
}

#[test]
fn one_key_opens_the_dive_into_the_window_and_closes_it() {
    let mut app = app();
    let effects = press(&mut app, "O");
    assert_eq!(effects, [Effect::Ask(Request::Dive(detail().id))]);
    assert_eq!(app.screen, Screen::Dive);
    assert_eq!(app.dive, Some(None), "an open window has no account");
    // An answer about another window is too late.
    let mut other = detail().id;
    other.start = Timestamp(other.start.0 + 1);
    app.dive = None;
    app.update(Input::Answer(Answer::Dive(other, None)));
    assert_eq!(app.dive, None);
    press(&mut app, "O");
    assert_eq!(app.screen, Screen::Main);
}

#[test]
fn windows_folds_order_theme_and_reload_have_their_keys() {
    let mut app = app();
    let code = |app: &mut App, code| app.update(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    let hour = |app: &App| {
        app.wanted
            .map(|window| (window.start.0 / 1_000_000_000 - START) / 3600)
    };
    assert_eq!(hour(&app), Some(0));
    assert!(matches!(
        press(&mut app, "]")[..],
        [Effect::Ask(Request::Window(_))]
    ));
    assert_eq!(hour(&app), Some(1));
    assert_eq!(press(&mut app, "]"), [], "there is no later one");
    press(&mut app, "e[");
    assert_eq!((app.screen, hour(&app)), (Screen::SourcePorts, Some(0)));

    let mut app = self::app();
    assert_eq!(app.tree.rows().len(), 3);
    press(&mut app, "l");
    assert_eq!(app.tree.rows().len(), 5, "its windows");
    code(&mut app, KeyCode::Left);
    assert_eq!(app.tree.rows().len(), 3);
    let first = |app: &App| match app.tree.rows()[0] {
        crate::tui::tree::Row::Profile(at) => app.tree.profiles()[at].ip,
        crate::tui::tree::Row::Window(..) => panic!("a window stands first"),
    };
    assert_eq!(first(&app), ip("192.168.2.12"), "the most threatening");
    press(&mut app, "S");
    assert_ne!(first(&app), ip("192.168.2.12"), "the other way round");
    press(&mut app, "T");
    assert_eq!(app.theme, Theme::Light);
    assert_eq!(press(&mut app, "o")[0], Effect::Ask(Request::Reload));
    press(&mut app, "G");
    assert_eq!(app.tree.cursor.selected, 2);
    code(&mut app, KeyCode::Home);
    assert_eq!(app.tree.cursor.selected, 0);
    code(&mut app, KeyCode::PageDown);
    assert!(app.tree.cursor.selected > 0);
    press(&mut app, "\t");
    code(&mut app, KeyCode::BackTab);
    assert_eq!(app.pane, Pane::Tree);
    let follows = app.follow;
    press(&mut app, "f");
    assert_ne!(app.follow, follows);
}

#[test]
fn what_has_no_room_is_counted_and_told() {
    use crate::tui::refused::MAX_NAMES;

    let mut app = app();
    let all = (0..u32::try_from(MAX_NAMES).unwrap() + 3).map(|host| {
        let ip = std::net::Ipv4Addr::from(0x0b00_0000 + host);
        (IpAddr::from(ip), "host".to_owned())
    });
    let known = app.names.len() as u64;
    app.update(Input::Answer(Answer::Names(all.collect())));
    assert_eq!((app.names.len(), app.refused.names), (MAX_NAMES, 3 + known));
    app.update(Input::Refused(Request::Reload));
    let order = crate::desk::BlockOrder {
        ip: ip("192.0.2.1"),
        time: Duration::from_secs(60),
        dry_run: false,
        reason: String::new(),
    };
    app.update(Input::Refused(Request::Block(order)));
    assert!(matches!(&app.notice, Some((Tone::Bad, text)) if text.starts_with("not asked")));
    press(&mut app, "a");
    let shown: Vec<String> = crate::tui::views::text_of(&app, None)
        .iter()
        .map(crate::text::Line::plain)
        .collect();
    let shown = shown.join("\n");
    for line in [
        "profiles    0 refused, 3 are listed",
        "host names  refused 5 times, 100,000 have room",
        "questions   refused 2 times, 32 may wait",
        "addresses   refused 0 times, 20,000 have facts",
        "addresses   refused 0 times, 20,000 have facts",
        "kept lists  refused 0 times",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
}
