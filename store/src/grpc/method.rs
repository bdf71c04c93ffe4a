//! Every method of the client port: what it is called, how it talks, and where its counters are.

/// A gRPC service of the client port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Kv,
    Watch,
    Lease,
    Cluster,
    Maintenance,
    Auth,
    Lock,
    Election,
    Health,
    Pipeline,
}

impl Service {
    /// Package and name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Kv => "etcdserverpb.KV",
            Service::Watch => "etcdserverpb.Watch",
            Service::Lease => "etcdserverpb.Lease",
            Service::Cluster => "etcdserverpb.Cluster",
            Service::Maintenance => "etcdserverpb.Maintenance",
            Service::Auth => "etcdserverpb.Auth",
            Service::Lock => "v3lockpb.Lock",
            Service::Election => "v3electionpb.Election",
            Service::Health => "grpc.health.v1.Health",
            Service::Pipeline => "mainstaypb.Pipeline",
        }
    }
}

/// Who sends more than one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ServerStream,
    BidirectionalStream,
}

/// One method.
#[derive(Debug)]
pub(crate) struct Method {
    /// Place in [`METHODS`].
    pub(crate) index: usize,
    pub(crate) service: Service,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

impl Method {
    /// Labels of its metrics, as etcd writes them.
    pub(crate) fn labels(&self) -> String {
        let kind = match self.kind {
            Kind::Unary => "unary",
            Kind::ServerStream => "server_stream",
            Kind::BidirectionalStream => "bidi_stream",
        };
        let (name, service) = (self.name, self.service.name());
        format!("grpc_method=\"{name}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"")
    }
}

const fn method(index: usize, service: Service, name: &'static str, kind: Kind) -> Method {
    Method {
        index,
        service,
        name,
        kind,
    }
}

/// All methods, those of one service together.
pub(crate) static METHODS: &[Method] = &[
    // etcdserverpb.KV
    method(0, Service::Kv, "Range", Kind::Unary),
    method(1, Service::Kv, "RangeStream", Kind::ServerStream),
    method(2, Service::Kv, "Put", Kind::Unary),
    method(3, Service::Kv, "DeleteRange", Kind::Unary),
    method(4, Service::Kv, "Txn", Kind::Unary),
    method(5, Service::Kv, "Compact", Kind::Unary),
    // etcdserverpb.Watch
    method(6, Service::Watch, "Watch", Kind::BidirectionalStream),
    // etcdserverpb.Lease
    method(7, Service::Lease, "LeaseGrant", Kind::Unary),
    method(8, Service::Lease, "LeaseRevoke", Kind::Unary),
    method(
        9,
        Service::Lease,
        "LeaseKeepAlive",
        Kind::BidirectionalStream,
    ),
    method(10, Service::Lease, "LeaseTimeToLive", Kind::Unary),
    method(11, Service::Lease, "LeaseLeases", Kind::Unary),
    // etcdserverpb.Cluster
    method(12, Service::Cluster, "MemberAdd", Kind::Unary),
    method(13, Service::Cluster, "MemberRemove", Kind::Unary),
    method(14, Service::Cluster, "MemberUpdate", Kind::Unary),
    method(15, Service::Cluster, "MemberList", Kind::Unary),
    method(16, Service::Cluster, "MemberPromote", Kind::Unary),
    // etcdserverpb.Maintenance
    method(17, Service::Maintenance, "Alarm", Kind::Unary),
    method(18, Service::Maintenance, "Status", Kind::Unary),
    method(19, Service::Maintenance, "Defragment", Kind::Unary),
    method(20, Service::Maintenance, "Hash", Kind::Unary),
    method(21, Service::Maintenance, "HashKV", Kind::Unary),
    method(22, Service::Maintenance, "Snapshot", Kind::ServerStream),
    method(23, Service::Maintenance, "MoveLeader", Kind::Unary),
    method(24, Service::Maintenance, "Downgrade", Kind::Unary),
    // etcdserverpb.Auth
    method(25, Service::Auth, "AuthEnable", Kind::Unary),
    method(26, Service::Auth, "AuthDisable", Kind::Unary),
    method(27, Service::Auth, "AuthStatus", Kind::Unary),
    method(28, Service::Auth, "Authenticate", Kind::Unary),
    method(29, Service::Auth, "UserAdd", Kind::Unary),
    method(30, Service::Auth, "UserGet", Kind::Unary),
    method(31, Service::Auth, "UserList", Kind::Unary),
    method(32, Service::Auth, "UserDelete", Kind::Unary),
    method(33, Service::Auth, "UserChangePassword", Kind::Unary),
    method(34, Service::Auth, "UserGrantRole", Kind::Unary),
    method(35, Service::Auth, "UserRevokeRole", Kind::Unary),
    method(36, Service::Auth, "RoleAdd", Kind::Unary),
    method(37, Service::Auth, "RoleGet", Kind::Unary),
    method(38, Service::Auth, "RoleList", Kind::Unary),
    method(39, Service::Auth, "RoleDelete", Kind::Unary),
    method(40, Service::Auth, "RoleGrantPermission", Kind::Unary),
    method(41, Service::Auth, "RoleRevokePermission", Kind::Unary),
    // v3lockpb.Lock
    method(42, Service::Lock, "Lock", Kind::Unary),
    method(43, Service::Lock, "Unlock", Kind::Unary),
    // v3electionpb.Election
    method(44, Service::Election, "Campaign", Kind::Unary),
    method(45, Service::Election, "Proclaim", Kind::Unary),
    method(46, Service::Election, "Leader", Kind::Unary),
    method(47, Service::Election, "Observe", Kind::ServerStream),
    method(48, Service::Election, "Resign", Kind::Unary),
    // grpc.health.v1.Health
    method(49, Service::Health, "Check", Kind::Unary),
    method(50, Service::Health, "Watch", Kind::ServerStream),
    // mainstaypb.Pipeline
    method(51, Service::Pipeline, "Txn", Kind::BidirectionalStream),
];

/// Finds the method of a request path. The error is the text grpc-go answers with.
pub(crate) fn find(path: &str) -> Result<&'static Method, String> {
    let named = path
        .strip_prefix('/')
        .and_then(|path| path.rsplit_once('/'));
    let Some((service_name, name)) = named else {
        return Err(format!("malformed method name: {path:?}"));
    };
    let service = match service_name {
        "etcdserverpb.KV" => Service::Kv,
        "etcdserverpb.Watch" => Service::Watch,
        "etcdserverpb.Lease" => Service::Lease,
        "etcdserverpb.Cluster" => Service::Cluster,
        "etcdserverpb.Maintenance" => Service::Maintenance,
        "etcdserverpb.Auth" => Service::Auth,
        "v3lockpb.Lock" => Service::Lock,
        "v3electionpb.Election" => Service::Election,
        "grpc.health.v1.Health" => Service::Health,
        "mainstaypb.Pipeline" => Service::Pipeline,
        _ => return Err(format!("unknown service {service_name}")),
    };
    let mut methods = METHODS.iter().filter(|method| method.service == service);
    methods
        .find(|method| method.name == name)
        .ok_or_else(|| format!("unknown method {name} for service {service_name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_path() {
        for (index, method) in METHODS.iter().enumerate() {
            assert_eq!(method.index, index);
            let path = format!("/{}/{}", method.service.name(), method.name);
            assert_eq!(find(&path).map(|found| found.index), Ok(index), "{path}");
        }
    }

    #[test]
    fn unknown_paths_are_answered_as_grpc_go_does() {
        assert_eq!(
            find("/etcdserverpb.KV/Get").err().as_deref(),
            Some("unknown method Get for service etcdserverpb.KV")
        );
        assert_eq!(
            find("/etcdserverpb.Gateway/Get").err().as_deref(),
            Some("unknown service etcdserverpb.Gateway")
        );
        assert_eq!(
            find("/v3").err().as_deref(),
            Some("malformed method name: \"/v3\"")
        );
    }
}
