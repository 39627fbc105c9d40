//! What feeds say, put into words.

use lynceus_model::evidence::{Explanation, Feature};

use crate::context::{Indicator, Knowledge, Listing};
use crate::names::shown;
use crate::report::{With, feature};

/// The worst word of all feeds on one indicator.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub worst: Listing,
    pub feeds: usize,
}

/// `None`: not listed, or nobody knows.
pub(crate) fn look_up(knowledge: &dyn Knowledge, indicator: Indicator<'_>) -> Option<Listed> {
    let listings = knowledge.listed(indicator)?;
    let feeds = listings.len();
    let worst = listings
        .into_iter()
        .max_by(|a, b| a.level.cmp(&b.level).then_with(|| b.feed.cmp(&a.feed)))?;
    Some(Listed { worst, feeds })
}

impl Listed {
    /// ` (feed: description; tags: a, b)`, with a space before it.
    pub(crate) fn words(&self) -> String {
        let Listing {
            feed,
            description,
            tags,
            ..
        } = &self.worst;
        let description = if description.is_empty() {
            String::new()
        } else {
            format!(": {}", shown(description))
        };
        let tags = if tags.is_empty() {
            String::new()
        } else {
            format!("; tags: {}", shown(&tags.join(", ")))
        };
        format!(" ({}{description}{tags})", shown(feed))
    }

    fn feature(&self) -> Feature {
        feature("feeds that list it", self.feeds as f64, "feeds").threshold(1.0)
    }

    /// `count` of `what`, as "flows".
    pub(crate) fn explanation(&self, what: &'static str, count: u64) -> Explanation {
        let entry = match &self.worst.wider {
            Some(wider) => format!("The entry is {}.", shown(wider)),
            None => "The entry is exactly this.".to_owned(),
        };
        Explanation {
            features: vec![self.feature(), feature(what, count as f64, what)],
            text: format!(
                "{} of the feeds list it; the worst word is {} of {}. {entry}",
                self.feeds,
                self.worst.level.name(),
                shown(&self.worst.feed)
            ),
        }
    }

    /// As Slips: an entry for a parent domain is less sure.
    pub(crate) const fn confidence(&self) -> f64 {
        if self.worst.wider.is_some() { 0.7 } else { 1.0 }
    }
}
