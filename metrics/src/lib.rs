//! What programs count, and Prometheus' text of it: histograms, pages, and what the system tells of a process.

mod histogram;
mod page;
pub mod process;

pub use histogram::Histogram;
pub use page::{Kind, Labels, Page};
