//! OpenAPI documents: made when they are asked for, kept compressed, and named by a hash of what they say.

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, EXPIRES, IF_NONE_MATCH,
    LOCATION, VARY,
};
use objects::catalog::Catalog;
use objects::openapi::{self, Source};
use objects::status::Status;
use parking_lot::Mutex;
use sha2::{Digest, Sha512};
use time::OffsetDateTime;

use super::answer::{self, Answer};
use super::front::Admitted;
use crate::served::{Origin, Served, Table};

/// The most bytes of compressed documents that are kept; what comes beyond is made anew at every request.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// The version that the documents say they are of.
const VERSION: &str = "1.36";
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const PREFIX: &str = "/openapi/v3/";

/// The documents of one server.
#[derive(Debug, Default)]
pub(super) struct OpenApi {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    generation: u64,
    groups: Vec<Arc<Document>>,
    /// The document of version 2 in JSON and in protobuf.
    whole: Option<(Arc<Document>, Arc<Document>)>,
}

/// One document. It is good for as long as its resources are the very same.
#[derive(Debug)]
struct Document {
    path: String,
    resources: Vec<Arc<Served>>,
    /// In capital hexadecimal digits.
    hash: String,
    /// None where there was no room for it.
    packed: Option<Bytes>,
}

impl Document {
    fn of_group(path: &str, resources: Vec<Arc<Served>>) -> Document {
        let bytes = group_bytes(&resources);
        Document {
            path: path.to_owned(),
            resources,
            hash: hash(&bytes),
            packed: Some(pack(&bytes)),
        }
    }

    fn packed(&self) -> Bytes {
        self.packed
            .clone()
            .unwrap_or_else(|| pack(&group_bytes(&self.resources)))
    }
}

fn group_bytes(resources: &[Arc<Served>]) -> Vec<u8> {
    let document = openapi::v3(source(), &served(resources));
    serde_json::to_vec(&document).expect("a tree is JSON")
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha512::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("memory takes what is written to it")
        .into()
}

fn source() -> Source<'static> {
    Source {
        builtin: &Catalog::builtin().schema,
        descriptions: &descriptions::Builtin,
        version: VERSION,
    }
}

fn served(resources: &[Arc<Served>]) -> Vec<openapi::Served<'_>> {
    resources
        .iter()
        .map(|served| openapi::Served {
            resource: &served.resource,
            schema: match &served.origin {
                Origin::Builtin => &Catalog::builtin().schema,
                Origin::Custom(custom) => &custom.version.schema,
                Origin::Measured(version) => &version.schema,
            },
        })
        .collect()
}

/// The resources of every group and version, by the path of its document.
fn groups(table: &Table) -> Vec<(String, Vec<Arc<Served>>)> {
    let mut found: Vec<(String, Vec<Arc<Served>>)> = Vec::new();
    for served in &table.all {
        let resource = &served.resource;
        let path = openapi::group_version_path(&resource.group, &resource.version);
        match found.iter_mut().find(|(known, _)| *known == path) {
            Some((_, resources)) => resources.push(served.clone()),
            None => found.push((path, vec![served.clone()])),
        }
    }
    found
}

fn is_same(left: &[Arc<Served>], right: &[Arc<Served>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl OpenApi {
    /// The documents of all groups. It takes a moment when there are new ones.
    fn groups(&self, table: &Table) -> Vec<Arc<Document>> {
        let mut kept = self.kept.lock();
        if kept.generation != table.generation {
            let mut room = KEPT_BYTES_MAX;
            let mut fresh = Vec::new();
            for (path, resources) in groups(table) {
                let old = kept.groups.iter().find(|document| {
                    document.path == path && is_same(&document.resources, &resources)
                });
                let mut document = match old {
                    Some(old) => old.clone(),
                    None => Arc::new(Document::of_group(&path, resources)),
                };
                let size = document.packed.as_ref().map_or(0, Bytes::len);
                if size > room {
                    document = Arc::new(Document {
                        path: document.path.clone(),
                        resources: document.resources.clone(),
                        hash: document.hash.clone(),
                        packed: None,
                    });
                } else {
                    room -= size;
                }
                fresh.push(document);
            }
            *kept = Kept {
                generation: table.generation,
                groups: fresh,
                whole: None,
            };
        }
        kept.groups.clone()
    }

    /// The document of version 2.
    fn whole(&self, table: &Table, protobuf: bool) -> Arc<Document> {
        self.groups(table);
        let mut kept = self.kept.lock();
        let (json, binary) = kept.whole.get_or_insert_with(|| {
            let document = openapi::v2(source(), &served(&table.all));
            let json = serde_json::to_vec(&document).expect("a tree is JSON");
            let binary = openapi::v2_protobuf(&document);
            let hash = hash(&json);
            let make = |bytes: &[u8]| {
                Arc::new(Document {
                    path: String::new(),
                    resources: Vec::new(),
                    hash: hash.clone(),
                    packed: Some(pack(bytes)),
                })
            };
            (make(&json), make(&binary))
        });
        if protobuf {
            binary.clone()
        } else {
            json.clone()
        }
    }
}

/// Answers a request below `/openapi`; none if there is no such document.
pub(super) async fn answer(
    openapi: &Arc<OpenApi>,
    table: Arc<Table>,
    request: &Admitted,
) -> Result<Option<Answer>, Status> {
    let path = request.path.trim_end_matches('/').to_owned();
    let protobuf = request.header(ACCEPT).contains("spec.v2@v1.0+protobuf");
    let openapi = openapi.clone();
    let making = tokio::task::spawn_blocking(move || match path.as_str() {
        "/openapi/v2" => Found::Document(openapi.whole(&table, protobuf)),
        "/openapi/v3" => Found::Index(openapi.groups(&table)),
        path => {
            let wanted = path.strip_prefix(PREFIX).unwrap_or_default();
            let mut documents = openapi.groups(&table).into_iter();
            documents
                .find(|document| document.path == wanted)
                .map_or(Found::Nothing, Found::Document)
        }
    });
    let found = making.await.map_err(Status::internal)?;
    Ok(match found {
        Found::Nothing => None,
        Found::Index(documents) => {
            let names = documents
                .iter()
                .map(|document| (document.path.as_str(), document.hash.as_str()));
            Some(answer::json(&openapi::index(names)))
        }
        Found::Document(document) => Some(shown(request, &document, protobuf)),
    })
}

enum Found {
    Nothing,
    Index(Vec<Arc<Document>>),
    Document(Arc<Document>),
}

fn shown(request: &Admitted, document: &Document, protobuf: bool) -> Answer {
    let hash = request.query("hash");
    let etag = header(&format!("\"{}\"", document.hash));
    let mut answer = if !hash.is_empty() && hash != document.hash {
        let mut answer = answer::bytes(301, "application/json", "");
        let place = format!("{PREFIX}{}?hash={}", document.path, document.hash);
        answer.headers_mut().insert(LOCATION, header(&place));
        answer
    } else if request.headers.get(IF_NONE_MATCH) == Some(&etag) {
        answer::bytes(304, "", "")
    } else {
        let is_binary = protobuf && document.path.is_empty();
        let content_type = if is_binary {
            PROTOBUF
        } else {
            "application/json"
        };
        unpacked(request, content_type, document.packed())
    };
    let headers = answer.headers_mut();
    headers.insert(ETAG, etag);
    headers.append(VARY, HeaderValue::from_static("Accept"));
    if hash == document.hash {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        headers.insert(EXPIRES, header(&in_a_year()));
    }
    answer
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn in_a_year() -> String {
    let then = OffsetDateTime::now_utc() + time::Duration::days(365);
    let (day, month) = (then.weekday().to_string(), then.month().to_string());
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} UTC",
        &day[..3],
        then.day(),
        &month[..3],
        then.year(),
        then.hour(),
        then.minute(),
        then.second()
    )
}

fn unpacked(request: &Admitted, content_type: &str, packed: Bytes) -> Answer {
    let accepts = request
        .header(ACCEPT_ENCODING)
        .split(',')
        .any(|word| word.trim().starts_with("gzip"));
    let mut answer = if accepts {
        let mut answer = answer::bytes(200, content_type, packed);
        let gzip = HeaderValue::from_static("gzip");
        answer.headers_mut().insert(CONTENT_ENCODING, gzip);
        answer
    } else {
        let mut bytes = Vec::new();
        GzDecoder::new(packed.as_ref())
            .read_to_end(&mut bytes)
            .expect("it was packed by this server");
        answer::bytes(200, content_type, bytes)
    };
    let vary = HeaderValue::from_static("Accept-Encoding");
    answer.headers_mut().append(VARY, vary);
    answer
}
