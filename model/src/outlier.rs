//! Outliers: how far a window of a profile is from its peers and from its own past, and which of its features say so.
//!
//! A window is a vector of [`FEATURES`]. For each feature a [`Quantiles`] sketch per peer role holds what windows of
//! such profiles usually show, and [`Past`] what this profile itself showed. Both give a surprisal, −ln of a two-sided
//! tail probability; the score of a window is the sum of its three largest ones, so it decomposes into them without any
//! approximation ([`score`]). [`loda`] is a second opinion for odd combinations of usual values. [`patterns`] tells
//! what outliers share and others do not, [`groups`] which outliers have the same account.
//!
//! Everything merges by sums, minima and maxima, so the order of windows and the number of sensors change nothing.

pub mod counterfactual;
pub mod features;

pub mod groups;
pub mod loda;
pub mod past;
pub mod patterns;

pub mod quantiles;
pub mod reference;
pub mod score;

pub mod sentence;
mod tail;

pub use counterfactual::Counterfactual;
pub use features::{COUNT, Extras, FEATURES, FEATURES_VERSION, FeatureInfo, Side, Values};
pub use past::Past;
pub use quantiles::Quantiles;
pub use reference::{Reference, Surprise};
pub use score::{Account, Scorer, Term};
