//! A desk that is opened by the thread that asks it, so that the first picture does not wait for a large store.

use super::{Answer, Desk, Request, Spare};
use crate::view::Overview;

/// Opens with the first question that what was kept does not answer; what fails is tried again with the next one.
pub struct Later<D, F> {
    /// The overview that the store kept when it was closed: shown once, before anything is opened.
    glance: Option<Overview>,
    /// The overview as it really is, to be shown when there is time.
    real: Option<Overview>,
    glanced: bool,
    open: F,
    opened: Option<D>,
    live: bool,
}

impl<D: Desk, F: FnMut() -> anyhow::Result<D> + Send> Later<D, F> {
    /// `live`: whether the desk will be ([`Desk::is_live`]).
    pub const fn new(live: bool, glance: Option<Overview>, open: F) -> Self {
        Self {
            glance,
            real: None,
            glanced: false,
            open,
            opened: None,
            live,
        }
    }

    fn desk(&mut self) -> anyhow::Result<&mut D> {
        if self.opened.is_none() {
            let mut desk = (self.open)()?;
            if self.glanced {
                // Questions build on the list of profiles, which this desk did not give yet.
                self.real = desk.overview()?;
            }
            self.opened = Some(desk);
        }
        self.opened.as_mut().ok_or_else(|| anyhow::anyhow!("not opened"))
    }
}

impl<D: Desk, F: FnMut() -> anyhow::Result<D> + Send> Desk for Later<D, F> {
    fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
        if let Some(glance) = self.glance.take() {
            self.glanced = true;
            return Ok(Some(glance));
        }
        let real = self.desk()?.overview()?;
        let kept = self.real.take();
        Ok(real.or(kept))
    }

    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<Answer>> {
        self.desk()?.answer(request)
    }

    fn idle(&mut self) -> anyhow::Result<Spare> {
        self.desk()?;
        match self.real.take() {
            Some(overview) => Ok(Spare::Overview(overview)),
            None => self.desk()?.idle(),
        }
    }

    fn forget(&mut self) {
        self.glance = None;
        if let Some(desk) = &mut self.opened {
            desk.forget();
        }
    }

    fn is_live(&self) -> bool {
        self.live
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has a list that is longer than the one that was kept.
    struct Nothing;

    impl Desk for Nothing {
        fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
            Ok(Some(Overview {
                more: true,
                ..Overview::default()
            }))
        }

        fn answer(&mut self, _: &Request) -> anyhow::Result<Option<Answer>> {
            Ok(None)
        }

        fn idle(&mut self) -> anyhow::Result<Spare> {
            Ok(Spare::Nothing)
        }

        fn forget(&mut self) {}

        fn is_live(&self) -> bool {
            true
        }
    }

    #[test]
    fn it_opens_with_the_first_question_and_tries_again_what_failed() {
        let mut tries = 0;
        let mut desk = Later::new(true, None, move || {
            tries += 1;
            anyhow::ensure!(tries > 1, "another process has it open");
            Ok(Nothing)
        });
        desk.forget();
        assert!(
            desk.overview()
                .unwrap_err()
                .to_string()
                .contains("another process")
        );
        assert!(desk.overview().unwrap().is_some());
        assert!(desk.answer(&Request::Reload).unwrap().is_none());
    }

    #[test]
    fn what_was_kept_is_shown_before_it_opens_and_what_is_after() {
        let opened = std::sync::atomic::AtomicBool::new(false);
        let is_open = || opened.load(std::sync::atomic::Ordering::Relaxed);
        let mut desk = Later::new(false, Some(Overview::default()), || {
            opened.store(true, std::sync::atomic::Ordering::Relaxed);
            Ok(Nothing)
        });
        assert!(desk.overview().unwrap().is_some_and(|kept| !kept.more) && !is_open());
        assert!(desk.answer(&Request::Reload).unwrap().is_none() && is_open());
        assert!(matches!(desk.idle().unwrap(), Spare::Overview(real) if real.more));
        assert!(matches!(desk.idle().unwrap(), Spare::Nothing));
    }
}
