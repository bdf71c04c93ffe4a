//! What an error proves. Only one that shows the request cannot have had an effect counts as a failure for certain.

use std::error::Error;

use check::history::{Outcome, Refusal, RefusalKind};
use tonic::{Code, ConnectError, Status};

/// Refusals that etcd makes before or instead of an effect, by the words behind `etcdserver: `. Words that are not
/// here prove nothing: a lost leader, a time-out or a stopped server may have let the request through.
const REFUSALS: &[(&str, RefusalKind)] = &[
    (
        "mvcc: required revision has been compacted",
        RefusalKind::Compacted,
    ),
    (
        "mvcc: required revision is a future revision",
        RefusalKind::FutureRevision,
    ),
    ("requested lease not found", RefusalKind::LeaseNotFound),
    ("lease already exists", RefusalKind::LeaseExists),
    ("key not found", RefusalKind::KeyNotFound),
    ("key is not provided", RefusalKind::Other),
    ("value is provided", RefusalKind::Other),
    ("lease is provided", RefusalKind::Other),
    ("too many operations in txn request", RefusalKind::Other),
    ("duplicate key given in txn request", RefusalKind::Other),
    ("invalid sort option", RefusalKind::Other),
    ("request is too large", RefusalKind::Other),
    ("too large lease TTL", RefusalKind::Other),
    ("mvcc: database space exceeded", RefusalKind::Other),
    ("too many requests", RefusalKind::Other),
    ("not capable", RefusalKind::Other),
    ("rpc not supported for learner", RefusalKind::Other),
    ("permission denied", RefusalKind::Other),
];

const PREFIX: &str = "etcdserver: ";

/// What came of a request that was answered with an error.
pub fn classify(status: &Status) -> Outcome {
    let text = format!("{:?}: {}", status.code(), status.message());
    match refusal(status) {
        Some(kind) => Outcome::Failed(Refusal { kind, text }),
        None => Outcome::Unknown { error: text },
    }
}

fn refusal(status: &Status) -> Option<RefusalKind> {
    if was_never_connected(status) || status.code() == Code::Unimplemented {
        return Some(RefusalKind::Other);
    }
    let words = status.message().strip_prefix(PREFIX)?;
    REFUSALS
        .iter()
        .find(|(known, _)| *known == words)
        .map(|(_, kind)| *kind)
}

/// Whether there was no connection to send the request over.
fn was_never_connected(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use check::history::{Put, Request};

    use super::*;
    use crate::client::Client;

    /// What answers at once has much longer than that.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn of(code: Code, message: &str) -> Outcome {
        classify(&Status::new(code, message))
    }

    #[test]
    fn a_refusal_of_the_request_is_a_certain_failure() {
        let message = "etcdserver: requested lease not found";
        let Outcome::Failed(refusal) = of(Code::NotFound, message) else {
            panic!("not a failure");
        };
        assert_eq!(refusal.kind, RefusalKind::LeaseNotFound);
    }

    #[test]
    fn a_lost_leader_leaves_the_outcome_unknown() {
        for message in [
            "etcdserver: leader changed",
            "etcdserver: no leader",
            "etcdserver: server stopped",
            "etcdserver: request timed out",
            "transport error",
        ] {
            let outcome = of(Code::Unavailable, message);
            assert!(matches!(outcome, Outcome::Unknown { .. }), "{message}");
        }
    }

    #[test]
    fn words_within_other_words_prove_nothing() {
        let outcome = of(Code::Unknown, "etcdserver: key not found, or lost");
        assert!(matches!(outcome, Outcome::Unknown { .. }));
    }

    #[tokio::test]
    async fn a_request_that_found_nobody_listening_is_a_certain_failure() {
        let port = crate::ports::free().await.unwrap();
        let mut client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let request = Request::Put(Put::default());
        let outcome = client.ask_within(&request, PATIENCE).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_request_whose_connection_broke_is_unknown() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let mut client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let request = Request::Put(Put::default());
        let closing = async {
            let (stream, _) = server.accept().await.unwrap();
            // The client has to have sent something before it is cut off.
            stream.readable().await.unwrap();
            drop(stream);
        };
        let (outcome, ()) = tokio::join!(client.ask(&request), closing);
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_request_without_an_answer_is_unknown_after_the_time_out() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let mut client = Client::new(&format!("http://127.0.0.1:{port}")).unwrap();
        let outcome = client.ask(&Request::Put(Put::default())).await;
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    }
}
