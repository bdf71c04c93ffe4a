//! Which path of the gateway leads to which method.

use super::super::method::{self, Method};

const KV: &str = "etcdserverpb.KV";
const WATCH: &str = "etcdserverpb.Watch";
const LEASE: &str = "etcdserverpb.Lease";
const CLUSTER: &str = "etcdserverpb.Cluster";
const MAINTENANCE: &str = "etcdserverpb.Maintenance";
const AUTH: &str = "etcdserverpb.Auth";
const LOCK: &str = "v3lockpb.Lock";
const ELECTION: &str = "v3electionpb.Election";

/// Paths behind `/v3/`, services and methods. `RangeStream` and the health service have none.
// A table: one line a path.
#[rustfmt::skip]
pub(super) const PATHS: &[(&str, &str, &str)] = &[
    ("kv/range", KV, "Range"),
    ("kv/put", KV, "Put"),
    ("kv/deleterange", KV, "DeleteRange"),
    ("kv/txn", KV, "Txn"),
    ("kv/compaction", KV, "Compact"),
    ("watch", WATCH, "Watch"),
    ("lease/grant", LEASE, "LeaseGrant"),
    ("lease/revoke", LEASE, "LeaseRevoke"),
    ("kv/lease/revoke", LEASE, "LeaseRevoke"),
    ("lease/keepalive", LEASE, "LeaseKeepAlive"),
    ("lease/timetolive", LEASE, "LeaseTimeToLive"),
    ("kv/lease/timetolive", LEASE, "LeaseTimeToLive"),
    ("lease/leases", LEASE, "LeaseLeases"),
    ("kv/lease/leases", LEASE, "LeaseLeases"),
    ("cluster/member/add", CLUSTER, "MemberAdd"),
    ("cluster/member/remove", CLUSTER, "MemberRemove"),
    ("cluster/member/update", CLUSTER, "MemberUpdate"),
    ("cluster/member/list", CLUSTER, "MemberList"),
    ("cluster/member/promote", CLUSTER, "MemberPromote"),
    ("maintenance/alarm", MAINTENANCE, "Alarm"),
    ("maintenance/status", MAINTENANCE, "Status"),
    ("maintenance/defragment", MAINTENANCE, "Defragment"),
    ("maintenance/hash", MAINTENANCE, "Hash"),
    ("maintenance/hashkv", MAINTENANCE, "HashKV"),
    ("maintenance/snapshot", MAINTENANCE, "Snapshot"),
    ("maintenance/transfer-leadership", MAINTENANCE, "MoveLeader"),
    ("maintenance/downgrade", MAINTENANCE, "Downgrade"),
    ("auth/enable", AUTH, "AuthEnable"),
    ("auth/disable", AUTH, "AuthDisable"),
    ("auth/status", AUTH, "AuthStatus"),
    ("auth/authenticate", AUTH, "Authenticate"),
    ("auth/user/add", AUTH, "UserAdd"),
    ("auth/user/get", AUTH, "UserGet"),
    ("auth/user/list", AUTH, "UserList"),
    ("auth/user/delete", AUTH, "UserDelete"),
    ("auth/user/changepw", AUTH, "UserChangePassword"),
    ("auth/user/grant", AUTH, "UserGrantRole"),
    ("auth/user/revoke", AUTH, "UserRevokeRole"),
    ("auth/role/add", AUTH, "RoleAdd"),
    ("auth/role/get", AUTH, "RoleGet"),
    ("auth/role/list", AUTH, "RoleList"),
    ("auth/role/delete", AUTH, "RoleDelete"),
    ("auth/role/grant", AUTH, "RoleGrantPermission"),
    ("auth/role/revoke", AUTH, "RoleRevokePermission"),
    ("lock/lock", LOCK, "Lock"),
    ("lock/unlock", LOCK, "Unlock"),
    ("election/campaign", ELECTION, "Campaign"),
    ("election/proclaim", ELECTION, "Proclaim"),
    ("election/leader", ELECTION, "Leader"),
    ("election/observe", ELECTION, "Observe"),
    ("election/resign", ELECTION, "Resign"),
];

/// The method of a whole path.
pub(super) fn find(path: &str) -> Option<&'static Method> {
    let path = path.strip_prefix(super::PREFIX)?;
    let (_, service, name) = PATHS.iter().find(|(known, ..)| *known == path)?;
    let found = method::find(&format!("/{service}/{name}"));
    Some(found.expect("the table names methods that are there"))
}

#[cfg(test)]
mod tests {
    use super::super::super::method::METHODS;
    use super::*;

    #[test]
    fn every_path_leads_to_a_method_and_every_method_but_four_has_one() {
        let mut reached = vec![false; METHODS.len()];
        for (path, _, name) in PATHS {
            let method = find(&format!("/v3/{path}")).expect("it is in the table");
            assert_eq!(method.name, *name);
            reached[method.index] = true;
        }
        let without: Vec<&str> = METHODS
            .iter()
            .filter(|method| !reached[method.index])
            .map(|method| method.name)
            .collect();
        assert_eq!(without, ["RangeStream", "Check", "Watch", "Txn"]);
        assert!(find("/v3/kv/range/").is_none());
        assert!(find("/v3/").is_none());
        assert!(find("/kv/range").is_none());
    }
}
