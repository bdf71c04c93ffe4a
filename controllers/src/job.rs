//! Jobs: pods that run to an end, each counted exactly once.

mod backoff;
mod decide;
mod indexes;
mod manage;
mod policies;
pub(crate) mod run;
mod template;
mod track;
mod view;

#[cfg(test)]
mod tests;
