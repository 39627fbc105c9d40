//! What is played, by what shows it.

#[path = "scenes/flows.rs"]
mod flows;
#[path = "scenes/office.rs"]
mod office;
#[path = "scenes/peers.rs"]
mod peers;
#[path = "scenes/scans.rs"]
mod scans;
#[path = "scenes/servers.rs"]
mod servers;
#[path = "scenes/words.rs"]
mod words;

pub(crate) use office::play as office;
pub(crate) use peers::play as peers;
pub(crate) use servers::play as servers;
pub(crate) use words::Certificates;

use super::stage::Stage;

pub(crate) fn play(stage: &mut Stage, certificates: &Certificates) {
    scans::play(stage);
    flows::play(stage);
    words::play(stage, certificates);
}
