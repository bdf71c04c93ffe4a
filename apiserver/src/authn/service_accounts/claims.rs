//! What a verified token says.

use objects::{Value, meta};

/// How far clocks may be apart.
pub(super) const LEEWAY_SECONDS: i64 = 60;

/// The claims of a token whose signature is good.
#[derive(Debug, Clone)]
pub(super) struct Claims(pub(super) Value);

/// The name and uid of an object in a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
}

impl Claims {
    pub(super) fn text(&self, name: &str) -> &str {
        meta::text(&self.0, &[name])
    }

    /// The audiences, of which there may be one or a list.
    pub(super) fn audiences(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match self.0.get("aud") {
            Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
            Some(one) => text(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Kubernetes' own claims: the namespace of all that is named there.
    pub(super) fn namespace(&self) -> &str {
        meta::text(&self.0, &["kubernetes.io", "namespace"])
    }

    /// One of `serviceaccount`, `pod`, `secret` and `node`.
    pub(super) fn reference(&self, kind: &str) -> Option<Reference<'_>> {
        let value =
            meta::at(&self.0, &["kubernetes.io", kind]).filter(|value| value.is_object())?;
        Some(Reference {
            name: meta::text(value, &["name"]),
            uid: meta::text(value, &["uid"]),
        })
    }

    /// Whether the token is good at a time, give or take the leeway.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check_time(&self, now_seconds: i64) -> Result<(), String> {
        let (early, late) = (now_seconds - LEEWAY_SECONDS, now_seconds + LEEWAY_SECONDS);
        let fault = if self.seconds("nbf")?.is_some_and(|from| late < from) {
            "service account token is not valid yet"
        } else if self.seconds("exp")?.is_some_and(|until| early > until) {
            "service account token has expired"
        } else if self.seconds("iat")?.is_some_and(|made| late < made) {
            "service account token is issued in the future"
        } else {
            return Ok(());
        };
        Err(fault.to_owned())
    }

    /// A time, which may have a fraction.
    fn seconds(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.0.get(name).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let whole = value.as_i64().or_else(|| {
            // The fraction is cut; what is larger than any time is the largest one.
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the cast saturates, which is what is wanted"
            )]
            value.as_f64().map(|seconds| seconds as i64)
        });
        match whole {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(format!(
                "the claim {name} of a service account token is no time"
            )),
        }
    }
}
