//! `/debug/vars`: what etcd publishes there, without what is Go's own.

use serde_json::{Value, json};

use super::process;
use crate::grpc::Edge;

pub(super) fn json(edge: &Edge) -> String {
    let command: Vec<Value> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned().into())
        .collect();
    let variables = json!({
        "cmdline": command,
        "file_descriptor_limit": daemon::open_files_max(),
        "resident_bytes": process::resident_bytes(),
        "raft.status": raft_status(edge),
    });
    format!("{variables:#}\n")
}

fn raft_status(edge: &Edge) -> Value {
    let raft = edge.replica.raft_status();
    let member_id = edge.replica.identity().member_id;
    let state = match raft.leader {
        Some(leader) if leader == member_id => "StateLeader",
        _ if raft.is_learner => "StateLearner",
        Some(_) => "StateFollower",
        None => "StateCandidate",
    };
    json!({
        "id": format!("{member_id:x}"),
        "term": raft.term,
        "commit": raft.committed_index,
        "applied": raft.applied_index,
        "lead": format!("{:x}", raft.leader.unwrap_or(0)),
        "raftState": state,
    })
}
