//! What a URL names: a resource, an object, a part of one, or another page of the server.

/// A path under `/api` or `/apis` that names a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) namespace: String,
    pub(super) resource: String,
    pub(super) name: String,
    /// With everything behind it, which only `proxy` has: `status`, `proxy/index.html`.
    pub(super) subresource: String,
    /// The old way to watch: `/api/v1/watch/pods`.
    pub(super) watch: bool,
}

/// Whether a path is read as one of this group, version, namespace, resource, object and part, and not as a watch.
pub(crate) fn names(path: &str, parts: [&str; 6]) -> bool {
    let Ok(Some(found)) = resource(path) else {
        return false;
    };
    let read = [
        &found.group,
        &found.version,
        &found.namespace,
        &found.resource,
        &found.name,
        &found.subresource,
    ];
    !found.watch && read == parts
}

/// A path that says to watch, and not what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NothingToWatch;

/// Reads a path. None if it names no resource, which a path does that goes on behind the version, if only by an empty name.
///
/// # Errors
///
/// If nothing comes behind `watch`.
pub(super) fn resource(path: &str) -> Result<Option<ResourcePath>, NothingToWatch> {
    // Escapes are read first, as upstream does: `%2F` ends a part as `/` does, and no name has one in it.
    let path = decoded(path);
    let mut parts = path.trim_matches('/').split('/').map(str::to_owned);
    let group = match parts.next().as_deref() {
        Some("api") => Some(String::new()),
        Some("apis") => parts.next(),
        _ => None,
    };
    let (Some(group), Some(version)) = (group, parts.next()) else {
        return Ok(None);
    };
    let mut rest: Vec<String> = parts.collect();
    if rest.is_empty() {
        return Ok(None);
    }
    let watch = rest[0] == "watch";
    if watch {
        rest.remove(0);
    }
    if rest.is_empty() {
        return Err(NothingToWatch);
    }
    let mut found = ResourcePath {
        group,
        version,
        watch,
        ..ResourcePath::default()
    };
    // `namespaces/x/status` is a part of the namespace, and `namespaces/x/pods` a resource inside it.
    let inside = rest.len() > 2
        && rest[0] == "namespaces"
        && !matches!(rest[2].as_str(), "status" | "finalize");
    if inside {
        found.namespace = rest[1].clone();
        rest.drain(..2);
    } else if rest.len() > 1 && rest[0] == "namespaces" && found.group.is_empty() {
        // A namespace is inside itself: that is how roles in it can speak of it.
        found.namespace = rest[1].clone();
    }
    let mut rest = rest.into_iter();
    found.resource = rest.next().unwrap_or_default();
    found.name = rest.next().unwrap_or_default();
    found.subresource = rest.collect::<Vec<_>>().join("/");
    Ok(Some(found))
}

/// A part of a path, or a word of a query, with its `%` escapes read. A broken escape stands for itself.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (bytes[at], digits) {
            (b'%', Some(digits)) => {
                let text = std::str::from_utf8(digits).expect("hexadecimal digits are ASCII");
                out.push(u8::from_str_radix(text, 16).expect("two hexadecimal digits"));
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A text as a part of a path or a query has it: what is neither plain nor kept is escaped.
pub(crate) fn encoded(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(letter) || kept.contains(letter) {
            out.push(letter);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Pairs of a query.
pub(super) fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (
                decoded(&name.replace('+', " ")),
                decoded(&value.replace('+', " ")),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NothingToWatch, ResourcePath, decoded, encoded, query};

    fn resource(path: &str) -> Option<ResourcePath> {
        super::resource(path).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_as_it_was(text in ".*") {
            prop_assert_eq!(decoded(&encoded(&text, "/")), text);
        }
    }

    #[test]
    fn a_path_names_a_group_a_namespace_an_object_and_a_part() {
        let cases = [
            ("/api/v1/pods", "|v1||pods||"),
            ("/api/v1/namespaces", "|v1||namespaces||"),
            ("/api/v1/namespaces/a", "|v1|a|namespaces|a|"),
            ("/api/v1/namespaces/a/status", "|v1|a|namespaces|a|status"),
            (
                "/api/v1/namespaces/a/finalize",
                "|v1|a|namespaces|a|finalize",
            ),
            ("/api/v1/namespaces/a/pods/b/log", "|v1|a|pods|b|log"),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "apps|v1|a|deployments|b|scale",
            ),
            (
                "/api/v1/namespaces/a/services/b/proxy/x/y",
                "|v1|a|services|b|proxy/x/y",
            ),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "rbac.authorization.k8s.io|v1||clusterroles|system:node|",
            ),
            // An empty name is the name of a resource all the same.
            ("/apis/x.test/v1//secrets", "x.test|v1|||secrets|"),
            ("/apis/x.test/v1/%2Fsecrets", "x.test|v1|||secrets|"),
            (
                "/apis/x.test/v1/namespaces/a//secrets",
                "x.test|v1|a||secrets|",
            ),
        ];
        for (path, expected) in cases {
            let found = resource(path).unwrap();
            let text = [
                found.group,
                found.version,
                found.namespace,
                found.resource,
                found.name,
                found.subresource,
            ]
            .join("|");
            assert_eq!(text, expected, "{path}");
        }
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/apis/apps/v1",
            "/apis/apps/v1//",
            "/apis/apps/v1/%2F",
            "/healthz",
            "/openapi/v3/api/v1",
        ] {
            assert_eq!(resource(path), None, "{path}");
        }
        assert!(resource("/api/v1/watch/namespaces/a/pods").unwrap().watch);
        for path in ["/api/v1/watch", "/apis/x.test/v1/watch/"] {
            assert_eq!(super::resource(path), Err(NothingToWatch), "{path}");
        }
        let escaped = resource("/api/v1/namespaces/a/pods/b%2Flog").unwrap();
        assert_eq!(
            (escaped.name.as_str(), escaped.subresource.as_str()),
            ("b", "log")
        );
    }

    #[test]
    fn escapes_are_read_and_broken_ones_stand_for_themselves() {
        assert_eq!(decoded("a%3Db%zz%4"), "a=b%zz%4");
        assert_eq!(
            query("labelSelector=a%3Db+c&watch"),
            [
                ("labelSelector".into(), "a=b c".into()),
                ("watch".into(), String::new())
            ]
        );
    }
}
