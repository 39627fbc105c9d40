//! The tree of profiles and their windows: folding, filter, order, and a selection that stays on its profile when
//! new data arrives.

use std::collections::HashSet;
use std::net::IpAddr;

use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::cursor::Cursor;
use crate::view::ProfileView;

/// Order of the profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Flagged first, then by accumulated threat, then by address.
    #[default]
    Threat,
    Address,
    Traffic,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Threat => Self::Address,
            Self::Address => Self::Traffic,
            Self::Traffic => Self::Threat,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Threat => "by threat",
            Self::Address => "by address",
            Self::Traffic => "by traffic",
        }
    }
}

/// A visible line: indices into the list of profiles and of its windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Profile(usize),
    Window(usize, usize),
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    profiles: Vec<ProfileView>,
    rows: Vec<Row>,
    unfolded: HashSet<IpAddr>,
    /// Which profiles pass the filter; those beyond its end do.
    passing: Vec<bool>,
    order: Order,
    reversed: bool,
    pub(super) cursor: Cursor,
}

impl Tree {
    /// Takes new data and keeps the selection where it was.
    pub(super) fn set(&mut self, profiles: Vec<ProfileView>) {
        let selected = self.identity();
        self.profiles = profiles;
        self.passing.clear();
        self.arrange(selected);
    }

    /// Shows the profiles that `passes` lets through.
    pub(super) fn arrange_by(&mut self, passes: impl Fn(&ProfileView) -> bool) {
        let selected = self.identity();
        self.passing = self.profiles.iter().map(passes).collect();
        self.arrange(selected);
    }

    pub(super) fn reverse(&mut self) {
        let selected = self.identity();
        self.reversed = !self.reversed;
        self.arrange(selected);
    }

    /// Selects a profile; tells whether it is there.
    pub(super) fn select(&mut self, ip: IpAddr) -> bool {
        match self.position((ip, None)) {
            Some(at) => {
                self.cursor.selected = at;
                true
            }
            None => false,
        }
    }

    /// Selects the next window with an alert in the order of the screen, the first again after the last.
    pub(super) fn next_alert(&mut self) -> bool {
        let current = self.window();
        let flagged: Vec<WindowId> = self
            .rows
            .iter()
            .filter_map(|row| match row {
                Row::Profile(index) => self.profiles.get(*index),
                Row::Window(..) => None,
            })
            .flat_map(|profile| {
                let windows = profile.windows.iter().filter(|window| window.alerts > 0);
                windows.map(|window| WindowId {
                    profile: profile.ip,
                    start: window.start,
                })
            })
            .collect();
        let at = current.and_then(|current| flagged.iter().position(|window| *window == current));
        let next = at.map_or(0, |at| (at + 1) % flagged.len());
        let Some(next) = flagged.get(next) else {
            return false;
        };
        self.unfolded.insert(next.profile);
        self.arrange(Some((next.profile, Some(next.start))));
        true
    }

    pub(super) fn next_order(&mut self) {
        let selected = self.identity();
        self.order = self.order.next();
        self.arrange(selected);
    }

    pub(super) const fn order(&self) -> Order {
        self.order
    }

    pub(super) fn profiles(&self) -> &[ProfileView] {
        &self.profiles
    }

    pub(super) fn profile(&self, ip: IpAddr) -> Option<&ProfileView> {
        self.profiles.iter().find(|profile| profile.ip == ip)
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn is_unfolded(&self, ip: IpAddr) -> bool {
        self.unfolded.contains(&ip)
    }

    /// Unfolds the selected profile; on an unfolded one or on a window nothing changes.
    pub(super) fn unfold(&mut self) {
        if let Some(Row::Profile(index)) = self.selected() {
            let selected = self.identity();
            self.unfolded.insert(self.profiles[index].ip);
            self.arrange(selected);
        }
    }

    /// Folds the selected profile, or the profile of the selected window, and selects it.
    pub(super) fn fold(&mut self) {
        if let Some(Row::Profile(index) | Row::Window(index, _)) = self.selected() {
            let ip = self.profiles[index].ip;
            self.unfolded.remove(&ip);
            self.arrange(Some((ip, None)));
        }
    }

    /// Enter: unfold or fold a profile.
    pub(super) fn toggle(&mut self) {
        match self.selected() {
            Some(Row::Profile(index)) if !self.is_unfolded(self.profiles[index].ip) => self.unfold(),
            Some(Row::Profile(_)) => self.fold(),
            Some(Row::Window(..)) | None => {}
        }
    }

    pub(super) fn selected_profile(&self) -> Option<&ProfileView> {
        match self.selected()? {
            Row::Profile(index) | Row::Window(index, _) => self.profiles.get(index),
        }
    }

    /// The window to show: the selected one, or the most telling one of the selected profile.
    pub(super) fn window(&self) -> Option<WindowId> {
        let profile = self.selected_profile()?;
        let start = match self.selected()? {
            Row::Window(_, window) => profile.windows.get(window)?.start,
            Row::Profile(_) => profile.most_telling()?.start,
        };
        Some(WindowId {
            profile: profile.ip,
            start,
        })
    }

    /// Selects the window before or after `current` in the same profile. Tells whether there is one.
    pub(super) fn neighbor(&mut self, current: WindowId, forward: bool) -> bool {
        let Some(profile) = self.profiles.iter().find(|profile| profile.ip == current.profile) else {
            return false;
        };
        let mut starts = profile.windows.iter().map(|window| window.start);
        let next = if forward {
            starts.find(|start| *start > current.start)
        } else {
            starts.take_while(|start| *start < current.start).last()
        };
        let Some(start) = next else { return false };
        self.unfolded.insert(current.profile);
        self.arrange(Some((current.profile, Some(start))));
        true
    }

    fn selected(&self) -> Option<Row> {
        self.rows.get(self.cursor.selected).copied()
    }

    fn identity(&self) -> Option<(IpAddr, Option<Timestamp>)> {
        match self.selected()? {
            Row::Profile(index) => Some((self.profiles.get(index)?.ip, None)),
            Row::Window(index, window) => {
                let profile = self.profiles.get(index)?;
                Some((profile.ip, Some(profile.windows.get(window)?.start)))
            }
        }
    }

    fn arrange(&mut self, selected: Option<(IpAddr, Option<Timestamp>)>) {
        let mut shown: Vec<(bool, f64, u64, usize)> = Vec::with_capacity(self.profiles.len());
        for (index, profile) in self.profiles.iter().enumerate() {
            if self.passing.get(index).is_none_or(|passes| *passes) {
                shown.push((profile.flagged(), profile.threat(), profile.bytes(), index));
            }
        }
        let address = |index: usize| self.profiles[index].ip;
        match self.order {
            Order::Threat => shown.sort_by(|a, b| {
                b.0.cmp(&a.0)
                    .then(b.1.total_cmp(&a.1))
                    .then_with(|| address(a.3).cmp(&address(b.3)))
            }),
            Order::Address => shown.sort_by_key(|row| address(row.3)),
            Order::Traffic => {
                shown.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| address(a.3).cmp(&address(b.3))))
            }
        }
        if self.reversed {
            shown.reverse();
        }
        self.rows.clear();
        for (_, _, _, index) in shown {
            self.rows.push(Row::Profile(index));
            let profile = &self.profiles[index];
            if self.unfolded.contains(&profile.ip) {
                self.rows
                    .extend((0..profile.windows.len()).map(|window| Row::Window(index, window)));
            }
        }
        self.cursor.selected = selected
            .and_then(|identity| self.position(identity))
            .unwrap_or(self.cursor.selected)
            .min(self.rows.len().saturating_sub(1));
    }

    fn position(&self, (ip, start): (IpAddr, Option<Timestamp>)) -> Option<usize> {
        let profile = self
            .rows
            .iter()
            .position(|row| matches!(row, Row::Profile(index) if self.profiles[*index].ip == ip))?;
        let window = start.and_then(|start| {
            self.rows[profile + 1..]
                .iter()
                .take_while(|row| matches!(row, Row::Window(..)))
                .position(|row| {
                    matches!(row, Row::Window(index, window) if self.profiles[*index].windows[*window].start == start)
                })
        });
        Some(window.map_or(profile, |window| profile + 1 + window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::tests::overview;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.set(overview().profiles);
        tree
    }

    fn ips(tree: &Tree) -> Vec<String> {
        tree.rows()
            .iter()
            .map(|row| match row {
                Row::Profile(index) => tree.profiles()[*index].ip.to_string(),
                Row::Window(_, window) => format!("  {window}"),
            })
            .collect()
    }

    #[test]
    fn flagged_profiles_come_first_and_order_can_change() {
        let mut tree = tree();
        assert_eq!(ips(&tree)[0], "192.168.2.12");
        tree.next_order();
        assert_eq!(ips(&tree), ["8.8.8.8", "192.168.2.1", "192.168.2.12"]);
    }

    #[test]
    fn the_selection_stays_on_its_window_when_data_arrives() {
        let mut tree = tree();
        tree.unfold();
        tree.cursor.selected = 2;
        let before = tree.window();
        let mut more = overview().profiles;
        more.insert(0, more[1].clone());
        more[0].ip = "1.1.1.1".parse().unwrap();
        tree.set(more);
        assert_eq!(tree.window(), before);
        tree.next_order();
        assert_eq!(tree.window(), before);
        tree.fold();
        assert_eq!(
            tree.selected_profile().map(|profile| profile.ip),
            before.map(|key| key.profile)
        );
    }

    #[test]
    fn a_filter_hides_and_shows_again() {
        let mut tree = tree();
        tree.arrange_by(|profile| profile.me);
        assert_eq!(ips(&tree), ["192.168.2.12"]);
        tree.arrange_by(|_| false);
        assert!(tree.rows().is_empty() && tree.window().is_none());
        tree.arrange_by(|_| true);
        assert_eq!(ips(&tree).len(), 3);
    }

    #[test]
    fn alerts_follow_each_other_in_a_circle() {
        let mut tree = tree();
        tree.cursor.selected = 2;
        assert!(tree.next_alert());
        let alert = tree.window().unwrap();
        assert_eq!(alert.profile, "192.168.2.12".parse::<IpAddr>().unwrap());
        assert!(tree.next_alert());
        assert_eq!(tree.window(), Some(alert), "the only one");
        tree.arrange_by(|profile| !profile.flagged());
        assert!(!tree.next_alert());
    }

    #[test]
    fn neighbors_of_a_window_are_found_in_time_order() {
        let mut tree = tree();
        let first = WindowId {
            profile: "192.168.2.12".parse().unwrap(),
            start: Timestamp::from_secs(1_493_719_200),
        };
        assert!(!tree.neighbor(first, false));
        assert!(tree.neighbor(first, true));
        let second = tree.window().unwrap();
        assert_eq!(second.start, Timestamp::from_secs(1_493_722_800));
        assert!(tree.neighbor(second, false));
        assert_eq!(tree.window(), Some(first));
    }
}
