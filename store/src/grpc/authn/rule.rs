//! What each method asks of its caller before it is served.

use state_machine::Access;

use crate::grpc::method::{Method, Service};

/// What is looked at before a request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::grpc) enum Rule {
    /// Everyone may call it.
    Open,
    /// The answer depends on the request: its service looks.
    Request,
    AnyUser,
    /// Users with the role root.
    Root,
}

impl Rule {
    /// What is not named here is for root.
    pub(in crate::grpc) fn of(method: &Method) -> Rule {
        match (method.service, method.name) {
            (Service::Health, _) | (Service::Auth, "AuthStatus" | "Authenticate") => Rule::Open,
            (Service::Cluster, "MemberList") | (Service::Maintenance, "Status") => Rule::AnyUser,
            (Service::Auth, "UserList" | "RoleList") => Rule::Root,
            (Service::Maintenance, "Alarm")
            | (
                Service::Kv
                | Service::Watch
                | Service::Lease
                | Service::Auth
                | Service::Lock
                | Service::Election
                | Service::Pipeline,
                _,
            ) => Rule::Request,
            (Service::Cluster | Service::Maintenance, _) => Rule::Root,
        }
    }

    /// What to ask; none when there is nothing to ask yet.
    pub(in crate::grpc) fn access(self) -> Option<Access<'static>> {
        match self {
            Rule::Open | Rule::Request => None,
            Rule::AnyUser => Some(Access::AnyUser),
            Rule::Root => Some(Access::Root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::METHODS;

    #[test]
    fn what_is_about_the_cluster_is_for_root() {
        let of = |rule: Rule| -> Vec<&str> {
            let methods = METHODS.iter().filter(|method| Rule::of(method) == rule);
            methods.map(|method| method.name).collect()
        };
        assert_eq!(
            of(Rule::Root),
            [
                "MemberAdd",
                "MemberRemove",
                "MemberUpdate",
                "MemberPromote",
                "Defragment",
                "Hash",
                "HashKV",
                "Snapshot",
                "MoveLeader",
                "Downgrade",
                "UserList",
                "RoleList",
            ]
        );
        assert_eq!(of(Rule::AnyUser), ["MemberList", "Status"]);
        let open = ["AuthStatus", "Authenticate", "Check", "Watch"];
        assert_eq!(of(Rule::Open), open);
    }
}
