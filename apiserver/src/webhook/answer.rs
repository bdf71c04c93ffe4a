//! What a webhook's server answered, as a document or as the failure that upstream's client makes of it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response;
use objects::codec::{json, yaml};
use objects::{Value, meta};

/// Bytes of an answer that are told to whoever made the request, as many as upstream tells.
const TOLD_BYTES_MAX: usize = 2_048;

/// An answer that was read whole.
#[derive(Debug)]
pub(super) struct Answer {
    code: u16,
    content_type: String,
    body: Bytes,
}

impl Answer {
    pub(super) fn new(head: &response::Parts, body: Bytes) -> Answer {
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Answer {
            code: head.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body,
        }
    }
}

/// The document of an answer.
pub(super) fn read(answer: &Answer) -> Result<Value, String> {
    if !(200..=206).contains(&answer.code) {
        return Err(refusal(answer));
    }
    if answer.body.is_empty() {
        return Err(format!(
            "0-length response with status code: {} and content type: {}",
            answer.code, answer.content_type
        ));
    }
    if let Ok(read) = json::read(&answer.body)
        && read.value.is_object()
    {
        return Ok(read.value);
    }
    // YAML is a document too; what it reads is told of as the JSON that it means.
    let read = yaml::read(&answer.body)
        .map_err(|error| cut(&error.to_string()).to_owned())
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    json::type_meta(read.value.to_string().as_bytes()).map_err(|error| error.to_string())?;
    Ok(read.value)
}

/// The beginning of a text, as much as is told of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TOLD_BYTES_MAX)]
}

fn refusal(answer: &Answer) -> String {
    if let Ok(read) = json::read(&answer.body)
        && read.value["kind"] == "Status"
        && !meta::text(&read.value, &["message"]).is_empty()
    {
        return cut(meta::text(&read.value, &["message"])).to_owned();
    }
    let told = &answer.body[..answer.body.len().min(TOLD_BYTES_MAX)];
    let said = String::from_utf8_lossy(told);
    let said = said.trim();
    let text = match answer.code {
        400 => "the server rejected our request for an unknown reason",
        401 => "the server has asked for the client to provide credentials",
        403 => said,
        404 => "the server could not find the requested resource",
        405 => "the server does not allow this method on the requested resource",
        406 if said.is_empty() => {
            "the server was unable to respond with a content type that the client supports"
        }
        406 => said,
        409 => "the server reported a conflict",
        415 if said.is_empty() => "the server could not read the content type of the request",
        415 => said,
        422 => "the server rejected our request due to an error in our request",
        429 => "the server has received too many requests and has asked us to try again later",
        503 => "the server is currently unable to handle the request",
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
        }
        code if code >= 500 => {
            return format!(
                "an error on the server ({said:?}) has prevented the request from succeeding"
            );
        }
        code => {
            return format!(
                "the server responded with the status code {code} but did not return more information"
            );
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(code: u16, body: &str) -> Result<Value, String> {
        read(&Answer {
            code,
            content_type: "application/json".to_owned(),
            body: Bytes::from(body.to_owned()),
        })
    }

    #[test]
    fn what_is_no_document_is_told_as_upstream_does() {
        // Captured from a kube-apiserver 1.36.3.
        let cases = [
            (
                200,
                "",
                "0-length response with status code: 200 and content type: application/json",
            ),
            (
                200,
                "hello",
                "couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type \
             struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
            ),
            (
                302,
                "",
                "the server responded with the status code 302 but did not return more information",
            ),
            (
                400,
                "bad",
                "the server rejected our request for an unknown reason",
            ),
            (
                404,
                "nope",
                "the server could not find the requested resource",
            ),
            (
                500,
                "broken",
                "an error on the server (\"broken\") has prevented the request from succeeding",
            ),
            (
                500,
                "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"stat msg\"}",
                "stat msg",
            ),
        ];
        for (code, body, expected) in cases {
            assert_eq!(told(code, body).unwrap_err(), expected);
        }
        assert_eq!(told(200, "a: 1").unwrap()["a"], 1);
    }

    #[test]
    fn of_a_long_answer_the_beginning_is_told_alone() {
        let long = "ä".repeat(100_000);
        let document = format!("{{\"kind\":\"Status\",\"message\":\"{long}\"}}");
        assert_eq!(told(500, &document).unwrap_err().len(), TOLD_BYTES_MAX);
        assert_eq!(told(403, &long).unwrap_err().len(), TOLD_BYTES_MAX);
        let unreadable = format!("{{{long}: [");
        assert!(told(200, &unreadable).unwrap_err().len() < 2 * TOLD_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn no_answer_is_a_panic(code in 100_u16..600, body in ".{0,64}") {
            let _ = told(code, &body);
        }
    }
}
