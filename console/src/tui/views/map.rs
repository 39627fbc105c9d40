//! World map of the destinations: a cross for each place, larger where more went; beside it the countries.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::canvas::{Canvas, Map, MapResolution, Points};

use crate::human;
use crate::tui::app::App;
use crate::tui::widgets;

/// From this width on the list stands beside the map, else below it.
const WIDE: u16 = 140;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let [map, list] = if area.width >= WIDE {
        Layout::horizontal([Constraint::Min(80), Constraint::Length(60)]).areas(area)
    } else {
        Layout::vertical([Constraint::Percentage(65), Constraint::Min(5)]).areas(area)
    };
    draw_map(app, frame, map);
    super::sheet::draw_one(app, frame, list, 0);
}

/// A place that packets went to.
struct Spot {
    latitude: f64,
    longitude: f64,
    label: String,
    bytes: u64,
    listed: bool,
}

fn spots(app: &App) -> (Vec<Spot>, usize) {
    let Some(detail) = app.shown() else {
        return (Vec::new(), 0);
    };
    let destinations = &detail.tables.destination_ips;
    let mut spots: Vec<Spot> = Vec::new();
    let mut unplaced = std::collections::HashSet::new();
    for row in destinations
        .established
        .iter()
        .chain(&destinations.not_established)
    {
        let Some(ip) = row.ip else { continue };
        let peer = app.peers.get(&ip);
        let Some((latitude, longitude)) = peer.and_then(|peer| peer.position) else {
            unplaced.insert(ip);
            continue;
        };
        let listed = peer.is_some_and(|peer| peer.listed.is_some());
        // Places nearer than this are one on a terminal.
        let known = spots
            .iter_mut()
            .find(|spot| (spot.latitude - latitude).abs() < 1.0 && (spot.longitude - longitude).abs() < 1.0);
        match known {
            Some(spot) => {
                spot.bytes += row.bytes;
                spot.listed |= listed;
            }
            None => spots.push(Spot {
                latitude,
                longitude,
                label: peer.and_then(|peer| peer.country.clone()).unwrap_or_default(),
                bytes: row.bytes,
                listed,
            }),
        }
    }
    spots.sort_by_key(|spot| std::cmp::Reverse(spot.bytes));
    (spots, unplaced.len())
}

fn draw_map(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let (spots, unplaced) = spots(app);
    let mut title = vec![
        Span::styled(" World ", theme.heading()),
        Span::raw(format!(
            "{} ",
            human::plural(spots.len() as u64, "place", "places")
        )),
    ];
    if unplaced > 0 {
        let text = format!(
            "· {} without a place ",
            human::plural(unplaced as u64, "address", "addresses")
        );
        title.push(Span::styled(text, theme.quiet()));
    }
    let inner = widgets::pane(frame, area, theme, false, Line::from(title));
    let quiet = theme.color(theme.quiet());
    let canvas = Canvas::default()
        .x_bounds([-180.0, 180.0])
        .y_bounds([-60.0, 80.0])
        .paint(|context| {
            context.draw(&Map {
                color: quiet,
                resolution: MapResolution::High,
            });
            context.layer();
            // The largest last, so that they lie on top; only the largest of a country says which it is.
            for (at, spot) in spots.iter().enumerate().rev() {
                let named = !spots[..at].iter().any(|larger| larger.label == spot.label);
                let label = if named { spot.label.as_str() } else { "" };
                let style = if spot.listed { theme.alert() } else { theme.bad() };
                context.draw(&Points {
                    coords: &[(spot.longitude, spot.latitude)],
                    color: theme.color(style),
                });
                let mark = if spot.listed { "!" } else { "X" };
                context.print(
                    spot.longitude,
                    spot.latitude,
                    Line::styled(format!("{mark}{label}"), style),
                );
            }
        });
    frame.render_widget(canvas, inner);
}
