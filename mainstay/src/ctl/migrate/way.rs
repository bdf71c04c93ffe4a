//! The way to the target for transactions: a stream that keeps their order where the target has one, else a call for each.

use anyhow::{Result, anyhow};
use proto::etcdserverpb::{TxnRequest, TxnResponse};
use proto::mainstaypb::pipeline_client::PipelineClient;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};

use super::side::Connection;
use crate::client::ANSWER_BYTES_MAX;

/// What came of the transaction of a revision.
pub(super) type Answer = (i64, Result<TxnResponse>);

/// Transactions that are under way. Whoever sends bounds their number, and so every queue in here.
pub(super) struct Way {
    target: Connection,
    stream: Option<Ordered>,
    answers: mpsc::UnboundedReceiver<Answer>,
    answered: mpsc::UnboundedSender<Answer>,
    tasks: JoinSet<()>,
    under_way: usize,
    /// When the last answer came, or the first of what is under way was sent.
    heard: Instant,
}

/// The stream, and the numbers of what was sent on it and not answered.
struct Ordered {
    requests: mpsc::UnboundedSender<TxnRequest>,
    numbers: mpsc::UnboundedSender<i64>,
}

impl Way {
    /// Opens the stream, if the target has it.
    pub(super) async fn open(target: Connection) -> Result<Way> {
        let (answered, answers) = mpsc::unbounded_channel();
        let mut way = Way {
            target,
            stream: None,
            answers,
            answered,
            tasks: JoinSet::new(),
            under_way: 0,
            heard: Instant::now(),
        };
        let (requests, queue) = mpsc::unbounded_channel();
        let mut client =
            PipelineClient::new(way.target.service()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let opened = way
            .target
            .within(client.txn(UnboundedReceiverStream::new(queue)))
            .await;
        match opened {
            Ok(stream) => {
                let (numbers, sent) = mpsc::unbounded_channel();
                way.tasks
                    .spawn(take_answers(stream, sent, way.answered.clone()));
                way.stream = Some(Ordered { requests, numbers });
            }
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(way)
    }

    pub(super) fn target(&self) -> &Connection {
        &self.target
    }

    /// Whether transactions keep their order on the way.
    pub(super) fn is_ordered(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn send(&mut self, number: i64, request: TxnRequest) {
        if self.under_way == 0 {
            self.heard = Instant::now();
        }
        self.under_way += 1;
        let answered = self.answered.clone();
        let Some(stream) = &self.stream else {
            let target = self.target.clone();
            while self.tasks.try_join_next().is_some() {}
            self.tasks.spawn(async move {
                let mut client = target.kv();
                let answer = target.within(client.txn(request)).await;
                // Nobody waits for it when the way is given up.
                let _ = answered.send((number, answer));
            });
            return;
        };
        let sent = stream.numbers.send(number).is_ok() && stream.requests.send(request).is_ok();
        if !sent {
            // The queue is as long as this way.
            let _ = answered.send((number, Err(ended())));
        }
    }

    /// Waits for an answer; none when the target has not answered for as long as it may take. May be dropped while it waits.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        let deadline = self.heard + self.target.timeout();
        match timeout_at(deadline, self.answers.recv()).await {
            Ok(Some(answer)) => {
                self.under_way -= 1;
                self.heard = Instant::now();
                Some(answer)
            }
            Ok(None) | Err(_) => {
                self.under_way = 0;
                None
            }
        }
    }
}

/// Whether the target is an etcd, or an older Mainstay.
fn is_unknown(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<Status>();
    status.is_some_and(|status| status.code() == Code::Unimplemented)
}

fn ended() -> anyhow::Error {
    anyhow!("the stream of transactions ended")
}

/// Answers come in the order of what was sent. Of what is not answered at the end, the first is what was refused.
async fn take_answers(
    mut stream: Streaming<TxnResponse>,
    mut sent: mpsc::UnboundedReceiver<i64>,
    answered: mpsc::UnboundedSender<Answer>,
) {
    let mut failure = loop {
        match stream.message().await {
            Ok(Some(answer)) => {
                let Some(number) = sent.recv().await else {
                    return;
                };
                if answered.send((number, Ok(answer))).is_err() {
                    return;
                }
            }
            Ok(None) => break None,
            Err(status) => break Some(status.into()),
        }
    };
    sent.close();
    while let Some(number) = sent.recv().await {
        let error = failure.take().unwrap_or_else(ended);
        if answered.send((number, Err(error))).is_err() {
            return;
        }
    }
}
