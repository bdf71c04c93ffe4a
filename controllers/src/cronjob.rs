//! CronJobs: a Job at each time that a schedule names.

mod decide;
mod missed;
mod schedule;
