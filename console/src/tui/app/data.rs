//! What arrives from the desk, and lists made of it.

use super::{App, Connection, Cursor, Finding, Slot};
use crate::desk::{Answer, Request, WindowAnswer};
use crate::tui::filter::Subject;
use crate::tui::keys::Screen;
use crate::tui::refused::MAX_NAMES;
use crate::tui::sheet::Sheet;
use crate::tui::sheets::{self, Facts};
use crate::view::Overview;
use lynceus_view::search::kind_words;

impl App {
    pub(super) fn take_overview(&mut self, overview: Overview) {
        self.sensors = Some(overview.sensors);
        self.more = overview.more;
        self.tree.set(overview.profiles);
        if !self.filters[Slot::Tree as usize].filter.is_empty() {
            self.arrange_tree();
        }
        let before = self.wanted;
        self.want_selected();
        if self.connection == Connection::Live {
            // The window on the screen may have grown.
            if let Some(window) = self.wanted.filter(|_| self.wanted == before) {
                self.ask(Request::Window(window));
            }
            if self.screen == Screen::Findings
                && let Some(profile) = self.profile()
            {
                self.ask(Request::Findings(profile));
            }
        }
    }

    pub(super) fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Window(answer) => self.take_window(*answer),
            Answer::Findings(findings) if Some(findings.profile) == self.profile() => {
                self.all = Some(findings);
                if self.screen == Screen::Findings {
                    self.make_sheets();
                }
            }
            Answer::Flows(flows) => {
                self.flows = Some(flows);
                if self.screen == Screen::Flows {
                    self.make_sheets();
                }
            }
            Answer::Dossier(card) if Some(card.ip) == self.card_of => self.card = Some(card),
            Answer::Dive(window, dive) if Some(window) == self.dive_of => self.dive = Some(dive),
            Answer::Findings(_) | Answer::Dossier(_) | Answer::Dive(..) => {}
            Answer::Index(index) => {
                self.index = Some(index);
                self.arrange_tree();
                self.want_selected();
            }
            Answer::Block(order, outcome) => self.take_block(order, outcome),
            Answer::Names(names) => self.learn(names),
        }
    }

    fn learn(&mut self, names: std::collections::HashMap<std::net::IpAddr, String>) {
        for (ip, name) in names {
            if self.names.len() < MAX_NAMES || self.names.contains_key(&ip) {
                self.names.insert(ip, name);
            } else {
                self.refused.names += 1;
            }
        }
    }

    pub(super) fn take_window(&mut self, answer: WindowAnswer) {
        let mut detail = answer.detail;
        if self.wanted.is_some_and(|wanted| wanted != detail.id) {
            return;
        }
        self.learn(answer.names);
        self.peers = answer.peers;
        let same = self.detail.as_ref().is_some_and(|shown| shown.id == detail.id);
        let entries = std::mem::take(&mut detail.entries);
        if same {
            self.timeline.refresh(entries);
        } else {
            self.timeline.show(entries);
        }
        self.wanted = Some(detail.id);
        self.detail = Some(detail);
        self.arrange_timeline();
        self.arrange_findings();
        self.go_to_newest();
        if !matches!(self.screen, Screen::Findings | Screen::Flows) {
            self.make_sheets();
        }
    }

    pub(super) fn want_selected(&mut self) {
        let Some(window) = self.tree.window() else { return };
        if self.wanted == Some(window) {
            return;
        }
        self.wanted = Some(window);
        if self.shown().is_none() {
            self.findings.clear();
            self.sheets.clear();
        }
        self.evidence_cursor = Cursor::default();
        self.ask(Request::Window(window));
    }

    pub(super) fn go_to_newest(&mut self) {
        if self.follow {
            let len = self.timeline.lines().len();
            self.timeline.cursor.last(len);
        }
    }

    pub(super) fn arrange_tree(&mut self) {
        let filter = &self.filters[Slot::Tree as usize].filter;
        let (index, names, clock) = (self.index.as_ref(), &self.names, &self.clock);
        let none = crate::peers::Peers::default();
        let known = crate::tui::filter::Known {
            peers: index.map_or(&none, |index| &index.peers),
            names,
            clock,
        };
        self.tree.arrange_by(|profile| {
            if filter.is_empty() {
                return true;
            }
            let (kinds, level) = index.and_then(|index| index.evidence.get(&profile.ip)).map_or(
                (Vec::new(), None),
                |(kinds, level)| {
                    (
                        kinds.iter().flat_map(|kind| kind_words(*kind)).collect(),
                        Some(*level),
                    )
                },
            );
            let span = profile.windows.first().zip(profile.windows.last());
            let subject = Subject {
                ips: vec![profile.ip],
                roles: vec![(lynceus_view::search::Field::Profile, profile.ip)],
                kinds,
                level,
                texts: if profile.me {
                    vec!["(me)".into()]
                } else {
                    Vec::new()
                },
                span: span.map(|(first, last)| (first.start, last.end)),
                flagged: profile.flagged(),
                me: profile.me,
                ..Subject::default()
            };
            known.fits(filter, &subject)
        });
    }

    pub(super) fn arrange_timeline(&mut self) {
        let filter = &self.filters[Slot::Timeline as usize].filter;
        let (peers, names, clock) = (&self.peers, &self.names, &self.clock);
        let known = crate::tui::filter::Known { peers, names, clock };
        self.timeline.arrange(filter.is_empty(), |entry| {
            known.fits(filter, &sheets::subject(entry))
        });
    }

    /// Alerts first, then evidence, the worst first or in order of time.
    pub(super) fn arrange_findings(&mut self) {
        let Some(detail) = self.shown() else {
            self.findings.clear();
            return;
        };
        let mut order: Vec<usize> = (0..detail.evidence.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&detail.evidence[*a], &detail.evidence[*b]);
            let worst = if self.by_time {
                std::cmp::Ordering::Equal
            } else {
                b.threat_level.cmp(&a.threat_level)
            };
            worst.then(a.first.cmp(&b.first)).then(a.id.cmp(&b.id))
        });
        let filter = &self.filters[Slot::Evidence as usize].filter;
        let passes = |index: &usize| {
            self.known()
                .fits(filter, &sheets::of_evidence(&detail.evidence[*index]))
        };
        let alerts = (0..detail.alerts.len())
            .filter(|_| filter.is_empty())
            .map(Finding::Alert);
        let findings = alerts
            .chain(order.into_iter().filter(passes).map(Finding::Evidence))
            .collect();
        self.findings = findings;
        self.evidence_cursor.selected = self
            .evidence_cursor
            .selected
            .min(self.findings.len().saturating_sub(1));
    }

    /// Makes the tables of the screen from what is there; order and cursors stay.
    pub(super) fn make_sheets(&mut self) {
        let facts = Facts {
            peers: &self.peers,
            names: &self.names,
        };
        let mut sheets = match self.screen {
            Screen::Findings => self
                .all
                .as_ref()
                .map(|all| sheets::findings(all, &self.clock))
                .into_iter()
                .collect(),
            Screen::Flows => self
                .flows
                .as_ref()
                .map(|flows| sheets::flows(flows, &self.clock))
                .into_iter()
                .collect(),
            screen => self
                .shown()
                .map_or_else(Vec::new, |detail| sheets::of_window(screen, detail, facts)),
        };
        for (new, old) in sheets.iter_mut().zip(&self.sheets) {
            new.continues(old);
        }
        self.sheets = sheets;
        self.arrange_sheets();
    }

    pub(super) fn arrange_sheets(&mut self) {
        let mut sheets = std::mem::take(&mut self.sheets);
        let known = crate::tui::filter::Known {
            peers: match (self.screen, &self.all, &self.flows) {
                (Screen::Findings, Some(all), _) => &all.peers,
                (Screen::Flows, _, Some(flows)) => &flows.peers,
                _ => &self.peers,
            },
            ..self.known()
        };
        for sheet in &mut sheets {
            sheet.arrange(&self.filters[Slot::Table as usize].filter, known);
        }
        self.sheets = sheets;
    }

    /// Changes the table in focus, then puts it into its order.
    pub(super) fn with_sheet(&mut self, change: impl FnOnce(&mut Sheet)) {
        if let Some(sheet) = self.sheets.get_mut(usize::from(self.lower)) {
            change(sheet);
        }
        self.arrange_sheets();
    }
}
