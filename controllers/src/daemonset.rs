//! DaemonSets: a pod on every node that is fit for it.

mod backoff;
mod decide;
mod eligible;
mod pod;
mod rolling;
pub(crate) mod run;
