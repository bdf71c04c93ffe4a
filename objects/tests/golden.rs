//! Objects of ours as a kube-apiserver stored them in protobuf and answered them in JSON: both codecs must agree with it.

use std::path::Path;

use objects::Value;
use objects::catalog::{Catalog, split_api_version};
use objects::codec::{json, protobuf};

/// Each object's name, what the store held, and what the server answered without the resource version, which the store adds.
fn goldens() -> Vec<(String, Vec<u8>, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/protobuf");
    let mut goldens = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pb") {
            let text = std::fs::read(path.with_extension("json")).unwrap();
            goldens.push((
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
                serde_json::from_slice(&text).unwrap(),
            ));
        }
    }
    assert_eq!(goldens.len(), 16);
    goldens
}

#[test]
fn stored_protobuf_is_read_as_the_server_answers_it() {
    for (name, stored, answered) in goldens() {
        assert_eq!(protobuf::decode(&stored).unwrap(), answered, "{name}");
    }
}

#[test]
fn an_object_is_written_byte_for_byte_as_the_server_stores_it() {
    for (name, stored, answered) in goldens() {
        assert_eq!(protobuf::encode(&answered).unwrap(), stored, "{name}");
    }
}

#[test]
fn what_the_server_answers_is_read_without_a_fault_or_a_change() {
    for (name, _, answered) in goldens() {
        let (group, version) = split_api_version(answered["apiVersion"].as_str().unwrap());
        let kind = answered["kind"].as_str().unwrap();
        let at = Catalog::builtin().kind(group, version, kind).unwrap();
        let read = json::check(&answered, at).unwrap();
        assert_eq!(read.value, answered, "{name}");
        assert_eq!(read.strict, Vec::<String>::new(), "{name}");
    }
}
