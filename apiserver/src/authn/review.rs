//! Questions about identities that clients ask: the reviews of the group `authentication.k8s.io`.

use objects::{Value, meta, status::Status};
use serde_json::json;

use super::{Authenticator, Clock, bearer_word, clock::rfc3339};
use crate::user::User;

/// SelfSubjectReview: who the one who asks is.
#[must_use]
pub fn self_subject(user: &User, clock: &Clock) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": rfc3339(clock.now_seconds())},
        "status": {"userInfo": user.to_value()},
    })
}

/// TokenReview: whose a token is.
///
/// # Errors
/// 400 for a question without a token. A token that is nobody's is an answer, not an error.
pub fn token(authenticator: &Authenticator, body: &Value) -> Result<Value, Status> {
    let token = meta::text(body, &["spec", "token"]);
    if token.is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    let mut audiences: Vec<String> = meta::list(body, &["spec", "audiences"])
        .iter()
        .filter_map(|audience| audience.as_str().map(str::to_owned))
        .collect();
    if audiences.is_empty() {
        audiences.clone_from(&authenticator.options.api_audiences);
    }
    // What a request's header could not say is nobody's either.
    let word = bearer_word(token).unwrap_or_default();
    let mut answer = body.clone();
    answer["status"] = match authenticator.token(word, &audiences) {
        Ok(identity) => {
            let mut status = json!({"authenticated": true, "user": identity.user.to_value()});
            if !identity.audiences.is_empty() {
                status["audiences"] = json!(identity.audiences);
            }
            status
        }
        Err(why) => json!({"user": {}, "error": why}),
    };
    Ok(answer)
}
