//! A desk that is opened by the thread that asks it, so that the first picture does not wait for a large store.

use super::{Answer, Desk, Request, Spare};
use crate::view::Overview;

/// Opens with the first question; what fails is tried again with the next one.
pub struct Later<D, F> {
    open: F,
    opened: Option<D>,
    live: bool,
}

impl<D: Desk, F: FnMut() -> anyhow::Result<D> + Send> Later<D, F> {
    /// `live`: whether the desk will be ([`Desk::is_live`]).
    pub const fn new(live: bool, open: F) -> Self {
        Self {
            open,
            opened: None,
            live,
        }
    }

    fn desk(&mut self) -> anyhow::Result<&mut D> {
        if self.opened.is_none() {
            self.opened = Some((self.open)()?);
        }
        self.opened.as_mut().ok_or_else(|| anyhow::anyhow!("not opened"))
    }
}

impl<D: Desk, F: FnMut() -> anyhow::Result<D> + Send> Desk for Later<D, F> {
    fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
        self.desk()?.overview()
    }

    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<Answer>> {
        self.desk()?.answer(request)
    }

    fn idle(&mut self) -> anyhow::Result<Spare> {
        self.desk()?.idle()
    }

    fn forget(&mut self) {
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

    struct Nothing;

    impl Desk for Nothing {
        fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
            Ok(Some(Overview::default()))
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
        let mut desk = Later::new(true, move || {
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
}
