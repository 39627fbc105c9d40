//! Traffic whose sender knows exactly what it sent.

pub mod blast;
pub mod flood;
pub mod mix;
pub mod socket;
pub mod tcp;

pub use blast::Blast;
pub use flood::Flood;
pub use mix::Mix;
pub use socket::{FrameSocket, Sent, pin_to_cpu};
pub use tcp::{Bulk, bulk_tcp};
