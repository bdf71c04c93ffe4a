//! Fields that an apply would take from other managers, and how that is told.

use std::collections::BTreeMap;

use super::managers::Manager;
use super::set::{FieldPath, Set, path_text};
use crate::status::{Cause, Reason, Status};

/// The fields that each other manager would lose.
#[derive(Debug, Clone, Default)]
pub(super) struct Conflicts(pub(super) BTreeMap<Manager, Set>);

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The conflicts about other fields than these.
    pub(super) fn without(&self, allowed: &Set) -> Conflicts {
        let left = self
            .0
            .iter()
            .map(|(manager, set)| (manager.clone(), set.difference(allowed)))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        Conflicts(left)
    }

    pub(super) fn status(&self) -> Status {
        let conflicts: Vec<(&Manager, FieldPath)> = self
            .0
            .iter()
            .flat_map(|(manager, set)| set.paths().into_iter().map(move |path| (manager, path)))
            .collect();
        let mut status = Status::new(Reason::Conflict, message(&conflicts));
        status.causes = conflicts
            .iter()
            .map(|(manager, path)| Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: format!("conflict with {manager}"),
                field: path_text(path),
            })
            .collect();
        status
    }
}

fn message(conflicts: &[(&Manager, FieldPath)]) -> String {
    if let [(manager, path)] = conflicts {
        let path = path_text(path);
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    let mut last = None;
    for (manager, path) in conflicts {
        if last != Some(*manager) {
            lines.push(format!("conflicts with {manager}:"));
            last = Some(*manager);
        }
        lines.push(format!("- {}", path_text(path)));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}
