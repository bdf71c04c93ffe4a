//! StatefulSets: pods with names, numbers and volumes that stay.

mod claims;
mod decide;
mod identity;
pub(crate) mod run;
