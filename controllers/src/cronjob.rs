//! CronJobs: a Job at each time that a schedule names.

mod decide;
mod missed;
pub(crate) mod run;
mod schedule;
