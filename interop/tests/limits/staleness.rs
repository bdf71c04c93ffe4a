//! How old a serializable read may be, on members that hear a leader and on those that do not, and what learners serve.

use anyhow::{Context, Result, ensure};
use interop::client::Client;
use interop::cluster::Cluster;
use proto::etcdserverpb::{
    MemberAddRequest, RangeRequest, RangeResponse, WatchCreateRequest, WatchRequest, watch_request,
};
use tonic::{Code, Request, Response, Status};

use super::{start, until};

/// A serializable read of `k`, no older than so many milliseconds.
async fn read(client: &mut Client, most: Option<&str>) -> Result<Response<RangeResponse>, Status> {
    let mut request = Request::new(RangeRequest {
        key: b"k".to_vec().into(),
        serializable: true,
        ..Default::default()
    });
    if let Some(most) = most {
        let most = most.parse().expect("numbers are text");
        request
            .metadata_mut()
            .insert("mainstay-max-staleness-ms", most);
    }
    client.kv.range(request).await
}

fn staleness(answer: &Response<RangeResponse>) -> Result<u64> {
    let told = answer.metadata().get("mainstay-staleness-ms");
    Ok(told.context("the staleness is told")?.to_str()?.parse()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_others_says_how_old_it_is_and_refuses_who_wants_newer() -> Result<()>
{
    let mut cluster = start(3, &[]).await?;
    let leader = cluster.wait_leader().await?;
    let mut client = cluster.client(leader).await?;
    client.put("k", "v").await?;
    for index in 0..3 {
        let mut client = cluster.client(index).await?;
        until("the member is fresh", async || {
            Ok(read(&mut client, Some("900")).await.is_ok())
        })
        .await?;
    }
    let alone = (leader + 1) % 3;
    let mut client = cluster.client(alone).await?;
    for index in (0..3).filter(|index| *index != alone) {
        cluster.members[index].pause()?;
    }
    until("it is too old", async || {
        match read(&mut client, Some("1500")).await {
            Ok(_) => Ok(false),
            Err(status) => {
                ensure!(status.code() == Code::Unavailable, "{status}");
                ensure!(
                    status
                        .message()
                        .contains("mainstay-max-staleness-ms is 1500"),
                    "{status}"
                );
                Ok(true)
            }
        }
    })
    .await?;
    let answer = read(&mut client, None).await?;
    ensure!(staleness(&answer)? > 1500, "{answer:?}");
    ensure!(answer.get_ref().count == 1);
    for index in (0..3).filter(|index| *index != alone) {
        cluster.members[index].resume()?;
    }
    until("it is fresh again", async || {
        Ok(read(&mut client, Some("900")).await.is_ok())
    })
    .await?;
    let refused = read(&mut client, Some("soon"))
        .await
        .err()
        .context("no number")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    Ok(())
}

/// Adds a learner and starts it; a client of it once it answers.
async fn learner(cluster: &mut Cluster) -> Result<Client> {
    let mut client = cluster.client(0).await?;
    let joining = cluster.prepare_joining("learner")?;
    let add = MemberAddRequest {
        peer_ur_ls: vec![cluster.members[joining].peer_url()],
        is_learner: true,
    };
    until("the learner is added", async || {
        match client.cluster.member_add(add.clone()).await {
            Ok(_) => Ok(true),
            // One that was asked before has been added, although the answer was lost.
            Err(status) => Ok(status.message().contains("Peer URLs already exists")),
        }
    })
    .await?;
    cluster.members[joining].start()?;
    let url = cluster.members[joining].client_url();
    let mut learner = Client::lazy(&url)?;
    until("the learner has the key", async || {
        match read(&mut learner, None).await {
            Ok(answer) => Ok(answer.get_ref().count == 1),
            Err(_) => Ok(false),
        }
    })
    .await?;
    Ok(learner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_serves_watches_and_reads_that_say_how_old_they_are() -> Result<()> {
    let mut cluster = start(3, &[]).await?;
    cluster.wait_leader().await?;
    let mut client = cluster.client(0).await?;
    client.put("k", "v").await?;
    let mut learner = learner(&mut cluster).await?;
    until("the learner is fresh", async || {
        Ok(read(&mut learner, Some("900")).await.is_ok())
    })
    .await?;
    staleness(&read(&mut learner, None).await?)?;
    let refused = learner.get("k").await.err().context("it is linearizable")?;
    ensure!(
        refused.message() == "etcdserver: rpc not supported for learner",
        "{refused}"
    );
    let create = WatchCreateRequest {
        key: b"k".to_vec().into(),
        ..Default::default()
    };
    let request = WatchRequest {
        request_union: Some(watch_request::RequestUnion::CreateRequest(create)),
    };
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    sender.send(request).await?;
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut events = learner.watch.watch(requests).await?.into_inner();
    let created = events.message().await?.context("it is made")?;
    ensure!(created.created, "{created:?}");
    let revision = client.put("k", "w").await?;
    let message = events.message().await?.context("an event")?;
    let event = message.events.first().and_then(|event| event.kv.as_ref());
    let event = event.with_context(|| format!("an event in {message:?}"))?;
    ensure!(
        event.mod_revision == revision && &event.value[..] == b"w",
        "{event:?}"
    );
    Ok(())
}
