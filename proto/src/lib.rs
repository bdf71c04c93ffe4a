//! The wire: etcd v3's services, and those between our own processes, generated from our own text.
//!
//! The modules at the root hold plain messages and client stubs. [`server`] holds the same services
//! for the answering side, where stored bytes are copied instead of decoded and encoded again.

pub mod encoded;

/// What the services of the client port look like: an encoded `google.protobuf.FileDescriptorSet`, for whoever turns
/// their messages into other forms.
pub const CLIENT_PORT_DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/client_port.bin"));

/// A module of generated code, which is not ours to lint.
macro_rules! generated {
    ($(#[$doc:meta])* $module:ident, $side:literal, $package:literal $(, $($shared:item)*)?) => {
        $(#[$doc])*
        #[allow(
            clippy::all,
            clippy::allow_attributes_without_reason,
            clippy::too_many_lines,
            unused_qualifications,
            reason = "the generator's style, not ours"
        )]
        pub mod $module {
            $($($shared)*)?
            include!(concat!(env!("OUT_DIR"), "/", $side, "/", $package, ".rs"));
        }
    };
}

generated!(
    /// Key-values and events.
    mvccpb, "plain", "mvccpb"
);
generated!(
    /// Users, roles, permissions.
    authpb, "plain", "authpb"
);
generated!(
    /// The services of the client port.
    etcdserverpb, "plain", "etcdserverpb"
);
generated!(
    /// The lock service.
    v3lockpb, "plain", "v3lockpb"
);
generated!(
    /// The election service.
    v3electionpb, "plain", "v3electionpb"
);
generated!(
    /// gRPC's health service.
    health, "plain", "grpc.health.v1"
);

generated!(
    /// What the client port has beside etcd's services.
    mainstaypb, "plain", "mainstaypb"
);

generated!(
    /// What replicas say to each other.
    peer, "own", "mainstay.peer.v1"
);

generated!(
    /// Kubernetes objects, as the apiserver serves them beside REST.
    api, "own", "mainstay.api.v1"
);

generated!(
    /// Spans for a collector that speaks OpenTelemetry's protocol.
    otlp, "own", "opentelemetry.proto.collector.trace.v1"
);

/// The same packages for the answering side: server stubs, and messages whose key-values are
/// [`encoded::KeyValue`]. Messages in which no key-value can occur are the plain ones.
pub mod server {
    generated!(
        /// Key-values and events.
        mvccpb, "server", "mvccpb",
        pub use crate::encoded::KeyValue;
    );
    generated!(
        /// The services of the client port.
        etcdserverpb, "server", "etcdserverpb",
        pub use crate::encoded::WatchResponse;
        pub use crate::etcdserverpb::*;
    );
    generated!(
        /// The lock service.
        v3lockpb, "server", "v3lockpb",
        pub use crate::v3lockpb::*;
    );
    generated!(
        /// The election service.
        v3electionpb, "server", "v3electionpb",
        pub use crate::v3electionpb::*;
    );
    generated!(
        /// What the client port has beside etcd's services.
        mainstaypb, "server", "mainstaypb"
    );
    generated!(
        /// gRPC's health service.
        health, "server", "grpc.health.v1",
        pub use crate::health::*;
    );
}
