//! Snapshots: offered to a member that is there, and made only for such a one.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::errors::{ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{NetSnapshot, RPCOption};
use openraft::raft::SnapshotResponse;
use openraft::type_config::alias::SnapshotOf;

use super::{CONNECT_TIMEOUT, Client, Link};
use crate::raft::snapshot::SnapshotFiles;
use crate::raft::transfer;
use crate::raft::types::{TypeConfig, Vote};
use crate::raft::wire;

/// Wait before a member that does not answer is asked again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after the first and after further failures on the way: each new snapshot costs a flush and a checkpoint.
const REST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(10);

type Sent = Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>>;

/// Waits between failures, one after another.
pub(super) fn rests() -> impl Iterator<Item = Duration> + Send + 'static {
    std::iter::successors(Some(REST), |rest| Some((*rest * 2).min(REST_MAX)))
}

fn unreachable(error: &std::io::Error) -> StreamingError<TypeConfig> {
    StreamingError::Unreachable(Unreachable::new(error))
}

/// Whether the member is there and takes this one for a member.
async fn answers(client: &mut Client) -> bool {
    let asked = client.members(proto::peer::MembersRequest {});
    matches!(
        tokio::time::timeout(CONNECT_TIMEOUT, asked).await,
        Ok(Ok(_))
    )
}

async fn until_it_answers(client: &mut Client) {
    loop {
        tokio::time::sleep(PROBE_INTERVAL).await;
        if answers(client).await {
            return;
        }
    }
}

impl NetSnapshot<TypeConfig> for Link {
    type SnapshotData = SnapshotFiles;

    /// openraft makes a snapshot before it calls this, and another one after every failure. So one for a member that is
    /// away is given up at once, and the call ends only when the member is back and a newer one is worth its price.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotFiles>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Sent {
        let mut client = self
            .client
            .clone()
            .ok_or_else(|| unreachable(&std::io::Error::other("no usable peer URL")))?;
        let mut cancel = pin!(cancel);
        // Asked before every file is read for its checksum.
        if !answers(&mut client).await {
            tracing::info!("a snapshot waits for a member that does not answer");
            drop(snapshot);
            return tokio::select! {
                closed = &mut cancel => Err(StreamingError::Closed(closed)),
                () = until_it_answers(&mut client) => {
                    Err(unreachable(&std::io::Error::other("it was away until now")))
                }
            };
        }
        let _sending = self.peers.count_sending();
        tracing::info!(last_log_id = ?snapshot.meta.last_log_id, "sending a snapshot");
        let chunks = transfer::send(vote, snapshot)
            .await
            .map_err(|e| unreachable(&e))?;
        tokio::select! {
            reply = client.install_snapshot(chunks) => match reply {
                Ok(reply) => {
                    tracing::info!("sent database snapshot");
                    self.peer.snapshots_sent.add(1);
                    let vote = wire::vote_from(reply.into_inner().vote);
                    Ok(SnapshotResponse::new(vote))
                }
                Err(status) => {
                    self.peer.snapshots_failed.add(1);
                    Err(StreamingError::Unreachable(Unreachable::new(&status)))
                }
            },
            closed = &mut cancel => Err(StreamingError::Closed(closed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::path::PathBuf;
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use openraft::{RaftNetworkFactory, Snapshot};
    use tokio::net::TcpSocket;
    use tokio::sync::oneshot;

    use super::super::{Peers, Transport};
    use super::*;
    use crate::raft::types::Member;
    use crate::raft::{Connector, FailureDetector, MemberTable, Traffic};
    use crate::replica::Identity;

    /// A port that nobody serves, and that nobody else is given.
    fn closed_port() -> TcpSocket {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
    }

    async fn link_to(address: SocketAddr) -> Link {
        let identity = Identity {
            cluster_id: 1,
            member_id: 2,
        };
        let members = MemberTable::default();
        let traffic = Traffic::new(Arc::default(), members.clone());
        let (detector, _closed) = FailureDetector::new();
        let peers = Peers::new(identity, members, Connector::default(), detector, traffic);
        let node = Member {
            peer_urls: vec![format!("http://{address}")],
            joins_as_voter: false,
        };
        Transport(peers).new_snapshot_client(3, &node).await
    }

    /// A snapshot whose folder is there as long as somebody has it.
    fn snapshot(root: &tempfile::TempDir) -> (SnapshotOf<TypeConfig, SnapshotFiles>, PathBuf) {
        let dir = root.path().join("snapshot");
        std::fs::create_dir(&dir).unwrap();
        let snapshot = Snapshot {
            meta: Default::default(),
            snapshot: SnapshotFiles::at(dir.clone()),
        };
        (snapshot, dir)
    }

    /// Answers whatever it is asked with an empty message.
    async fn serve(socket: TcpSocket) {
        let listener = socket.listen(8).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = hyper::service::service_fn(|_asked| async {
                let empty = Full::new(Bytes::from_static(&[0; 5]));
                let answer = http::Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-status", "0");
                Ok::<_, Infallible>(answer.body(empty).unwrap())
            });
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer);
            tokio::spawn(serving);
        }
    }

    /// Offers a snapshot to nobody, and looks what became of it after two more probes.
    async fn offered_to_nobody(
        cancel: oneshot::Receiver<()>,
        then: impl Future<Output = ()>,
    ) -> Sent {
        let socket = closed_port();
        let root = tempfile::tempdir().unwrap();
        let (snapshot, dir) = snapshot(&root);
        let mut link = link_to(socket.local_addr().unwrap()).await;
        let cancelled = async {
            cancel.await.ok();
            ReplicationClosed::new("the test is over")
        };
        let option = RPCOption::new(Duration::from_secs(600));
        let sending = link.full_snapshot(Vote::new(1, 2), snapshot, cancelled, option);
        let mut sending = pin!(sending);
        let pending = tokio::time::timeout(PROBE_INTERVAL * 5 / 2, &mut sending).await;
        assert!(pending.is_err(), "{pending:?}");
        assert!(!dir.exists(), "its folder is still there");
        then.await;
        tokio::select! {
            sent = sending => sent,
            () = serve(socket) => unreachable!("it serves for ever"),
        }
    }

    #[tokio::test]
    async fn a_member_that_is_away_gets_a_new_snapshot_when_it_is_back() {
        let (_open, cancel) = oneshot::channel();
        let sent = offered_to_nobody(cancel, async {}).await;
        assert!(
            matches!(sent, Err(StreamingError::Unreachable(_))),
            "{sent:?}"
        );
    }

    #[tokio::test]
    async fn a_snapshot_that_waits_for_a_member_can_be_cancelled() {
        let (end, cancel) = oneshot::channel();
        let sent = offered_to_nobody(cancel, async { end.send(()).unwrap() }).await;
        assert!(matches!(sent, Err(StreamingError::Closed(_))), "{sent:?}");
    }

    #[test]
    fn failures_on_the_way_are_further_and_further_apart() {
        let seconds: Vec<_> = rests().take(6).map(|rest| rest.as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }
}
