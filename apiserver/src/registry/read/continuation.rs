//! Where a list goes on: what `continue` holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use objects::status::Status;
use serde_json::json;

/// A place in a list at one revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Continuation {
    /// Below 0 for the newest.
    pub(super) revision: i64,
    /// The key behind which it goes on, below the folder and the namespace.
    pub(super) start: String,
}

impl Continuation {
    pub(super) fn parse(text: &str) -> Result<Continuation, Status> {
        let bad = |why: &str| {
            Status::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_malformed| bad("illegal base64 data"))?;
        let read = objects::codec::json::read(&bytes);
        let token = read.map_err(|fault| bad(&fault.to_string()))?.value;
        let version = token["v"].as_str().unwrap_or_default();
        if version != "meta.k8s.io/v1" {
            return Err(bad(&format!(
                "server does not recognize this encoded version {version}"
            )));
        }
        let revision = token["rv"].as_i64().unwrap_or(0);
        if revision == 0 {
            return Err(bad(
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ));
        }
        let start = token["start"].as_str().unwrap_or_default();
        if start.is_empty() {
            return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
        }
        // A kube-apiserver's tokens begin without a slash.
        let rest = start.strip_prefix('/').unwrap_or(start);
        if !rest.is_empty() && rest.split('/').any(leads_elsewhere) {
            return Err(bad(start));
        }
        Ok(Continuation {
            revision,
            start: rest.to_owned(),
        })
    }

    pub(super) fn text(&self) -> String {
        let token = json!({"v": "meta.k8s.io/v1", "rv": self.revision, "start": format!("/{}", self.start)});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}

/// Whether a part of a path leads out of its folder, or nowhere.
fn leads_elsewhere(part: &str) -> bool {
    matches!(part, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_behind_any_name_and_never_outside_its_folder() {
        let from = |start: &str| Continuation {
            revision: 7,
            start: start.to_owned(),
        };
        for start in ["a..b\0", "n/..a\0", "n/a", ""] {
            assert_eq!(
                Continuation::parse(&from(start).text()).unwrap(),
                from(start)
            );
        }
        for start in ["../a", "n/../a", "n/..", "./a", "n//a", "n/", "/a"] {
            let refused = Continuation::parse(&from(start).text()).unwrap_err();
            let why = format!("continue key is not valid: /{start}");
            assert_eq!(refused.message, format!("invalid continue token: {why}"));
        }
        let of_upstream = json!({"v": "meta.k8s.io/v1", "rv": 7, "start": "n/a\0"});
        let token = URL_SAFE_NO_PAD.encode(of_upstream.to_string());
        assert_eq!(Continuation::parse(&token).unwrap(), from("n/a\0"));
    }
}
