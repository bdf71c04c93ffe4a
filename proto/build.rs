//! Compiles the protos twice: plain types with client stubs, and types of encoded bytes with server stubs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use protox::prost_reflect::prost::Message;
use protox::prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

/// The services of the client port: etcd's, and ours beside them. Clients and servers get different types.
const CLIENT_PORT: &[&str] = &[
    "etcd/kv.proto",
    "etcd/auth.proto",
    "etcd/rpc.proto",
    "etcd/v3lock.proto",
    "etcd/v3election.proto",
    "grpc/health.proto",
    "mainstay/pipeline.proto",
];

/// Services between our own processes, of collectors of spans, and of the apiserver. Both sides share
/// one set of types; `src/lib.rs` names each package once, with `"own"` as its side.
const OWN: &[&str] = &["peer/peer.proto", "otlp/trace.proto", "mainstay/api.proto"];

/// Messages the server writes from stored bytes, and the hand-written types that do it.
const ENCODED: &[(&str, &str)] = &[
    ("mvccpb.KeyValue", "crate::encoded::KeyValue"),
    (
        "etcdserverpb.WatchResponse",
        "crate::encoded::WatchResponse",
    ),
];

fn main() {
    println!("cargo:rerun-if-changed=etcd");
    println!("cargo:rerun-if-changed=grpc");
    println!("cargo:rerun-if-changed=otlp");
    println!("cargo:rerun-if-changed=mainstay");
    println!("cargo:rerun-if-changed=peer");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);

    let files = protox::compile(CLIENT_PORT, ["."]).expect("the protos compile");
    std::fs::write(out.join("client_port.bin"), files.encode_to_vec())
        .expect("the output folder can be written to");
    configure(&out.join("plain"))
        .build_server(false)
        .compile_fds(files.clone())
        .expect("plain types are generated");

    let pool = DescriptorPool::from_file_descriptor_set(files.clone()).expect("a whole set");
    let mut server = configure(&out.join("server")).build_client(false);
    for (message, rust_type) in shared_with_plain(&pool) {
        server = server.extern_path(format!(".{message}"), rust_type);
    }
    server
        .compile_fds(files)
        .expect("server types are generated");

    if !OWN.is_empty() {
        let files = protox::compile(OWN, ["."]).expect("the protos compile");
        configure(&out.join("own"))
            .compile_fds(files)
            .expect("own types are generated");
    }
}

fn configure(out: &Path) -> tonic_prost_build::Builder {
    std::fs::create_dir_all(out).expect("the output folder can be made");
    tonic_prost_build::configure().out_dir(out).bytes(".")
}

/// Rust paths for every message the server generation need not make itself: the hand-written ones,
/// and those in which no `KeyValue` can occur.
fn shared_with_plain(pool: &DescriptorPool) -> BTreeMap<String, String> {
    let mut paths: BTreeMap<String, String> = ENCODED
        .iter()
        .map(|(message, path)| (message.to_string(), path.to_string()))
        .collect();
    for message in pool.all_messages() {
        let nested = message.parent_message().is_some();
        if !nested && !holds_encoded(&message, &mut BTreeSet::new()) {
            let module = match message.package_name() {
                "grpc.health.v1" => "health",
                package => package,
            };
            let path = format!("crate::{module}::{}", rust_name(message.name()));
            paths.insert(message.full_name().to_string(), path);
        }
    }
    paths
}

/// The generator's spelling of a message name: a run of capitals becomes one word, `HashKVRequest` is
/// `HashKvRequest`.
fn rust_name(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let inside_run = |at: usize| {
        at > 0
            && letters[at - 1].is_uppercase()
            && letters.get(at + 1).is_none_or(|next| next.is_uppercase())
    };
    let spell = |(at, letter): (usize, &char)| {
        if inside_run(at) {
            letter.to_ascii_lowercase()
        } else {
            *letter
        }
    };
    letters.iter().enumerate().map(spell).collect()
}

fn holds_encoded(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> bool {
    if ENCODED.iter().any(|(name, _)| *name == message.full_name()) {
        return true;
    }
    if !seen.insert(message.full_name().to_string()) {
        return false;
    }
    message.fields().any(|field| match field.kind() {
        Kind::Message(inner) => holds_encoded(&inner, seen),
        _ => false,
    })
}
