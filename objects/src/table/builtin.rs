//! The columns of the built-in kinds, those of `kubectl get`.

use super::column::{AGE, Column, Kind, NAME, text};
use crate::Value;

mod access;
mod autoscaling;
mod cluster;
mod network;
mod pod;
mod storage;
mod workloads;

/// Of kinds without columns of their own.
pub(super) static PLAIN: [Column; 2] = [
    NAME,
    text("Created At", "metadata.creationTimestamp").of("date"),
];

/// What every table begins with, for columns that are not known beforehand.
pub(super) static NAME_ONLY: [Column; 1] = [NAME];

/// Of kinds of which there is no more to tell.
const NAME_AND_AGE: &[Column] = &[NAME, AGE];

pub(super) fn find(group: &str, kind: &str) -> Option<&'static Kind> {
    // Events are the same in both of their groups.
    let group = if group == "events.k8s.io" { "" } else { group };
    [
        pod::KINDS,
        workloads::KINDS,
        cluster::KINDS,
        network::KINDS,
        storage::KINDS,
        autoscaling::KINDS,
        access::KINDS,
    ]
    .into_iter()
    .flatten()
    .find(|row| row.kind == kind && row.group == group)
}

const fn kind(group: &'static str, kind: &'static str, columns: &'static [Column]) -> Kind {
    Kind {
        group,
        kind,
        columns,
        sort: None,
        condition: without_condition,
    }
}

fn without_condition(_: &Value) -> Option<Value> {
    None
}
