//! What is used, told by the server that an APIService names: over gRPC as well, where nothing is passed on as it is.

use objects::Value;
use objects::status::Status;

use crate::apiservices::ask;
use crate::registry::{ListOptions, Request};
use crate::rest::{Front, encoded};

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// What one node or pod uses.
pub(super) async fn get(
    front: &Front,
    request: &Request,
    service: &Value,
) -> Result<Value, Status> {
    let path = format!("{}/{}", collection(request), encoded(&request.name, ""));
    ask(front, &request.user, service, (&path, ANSWER_BYTES_MAX)).await
}

/// What those use that selectors choose.
pub(super) async fn list(
    front: &Front,
    request: &Request,
    options: &ListOptions,
    service: &Value,
) -> Result<Vec<Value>, Status> {
    let path = format!(
        "{}?labelSelector={}&fieldSelector={}",
        collection(request),
        encoded(&options.label_selector, ""),
        encoded(&options.field_selector, "")
    );
    let mut told = ask(front, &request.user, service, (&path, ANSWER_BYTES_MAX)).await?;
    match told.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

fn collection(request: &Request) -> String {
    let resource = &request.served.resource;
    let root = format!("/apis/{}", resource.api_version());
    if request.namespace.is_empty() {
        return format!("{root}/{}", resource.plural);
    }
    let namespace = encoded(&request.namespace, "");
    format!("{root}/namespaces/{namespace}/{}", resource.plural)
}
