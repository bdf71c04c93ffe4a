//! Reads, writes, watches and leases through the etcd-client crate; panics when one fails.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, LeaseGrantOptions, PutOptions, SortOrder,
    SortTarget, Txn, TxnOp, WatchOptions,
};

const KEY: &str = "rust/a";

#[tokio::main]
async fn main() -> Result<(), etcd_client::Error> {
    let endpoints: Vec<String> = std::env::args().skip(1).collect();
    let mut client = Client::connect(&endpoints, None).await?;
    let first_revision = write_and_read(&mut client).await?;
    compare_and_swap(&mut client).await?;
    watch(&mut client, first_revision).await?;
    lease(&mut client).await?;
    assert_eq!(client.member_list().await?.members().len(), endpoints.len());
    assert!(!client.status().await?.version().is_empty());
    println!("the etcd-client script is through");
    Ok(())
}

async fn write_and_read(client: &mut Client) -> Result<i64, etcd_client::Error> {
    client
        .delete(
            "rust/",
            Some(etcd_client::DeleteOptions::new().with_prefix()),
        )
        .await?;
    let put = client.put(KEY, "one", None).await?;
    let first_revision = put.header().expect("a header").revision();
    client.put("rust/b", "two", None).await?;
    let previous = client
        .put(KEY, "uno", Some(PutOptions::new().with_prev_key()))
        .await?;
    assert_eq!(
        previous.prev_key().expect("the value before").value(),
        b"one"
    );

    let options = GetOptions::new()
        .with_prefix()
        .with_sort(SortTarget::Key, SortOrder::Descend);
    let got = client.get("rust/", Some(options)).await?;
    let values: Vec<&[u8]> = got.kvs().iter().map(|kv| kv.value()).collect();
    assert_eq!(values, [&b"two"[..], b"uno"]);
    let old = client
        .get(KEY, Some(GetOptions::new().with_revision(first_revision)))
        .await?;
    assert_eq!(old.kvs()[0].value(), b"one");
    Ok(first_revision)
}

async fn compare_and_swap(client: &mut Client) -> Result<(), etcd_client::Error> {
    let swap = |from: &str, to: &str| {
        Txn::new()
            .when([Compare::value(KEY, CompareOp::Equal, from)])
            .and_then([TxnOp::put(KEY, to, None)])
            .or_else([TxnOp::get(KEY, None)])
    };
    assert!(client.txn(swap("uno", "eins")).await?.succeeded());
    assert!(!client.txn(swap("uno", "un")).await?.succeeded());
    Ok(())
}

async fn watch(client: &mut Client, first_revision: i64) -> Result<(), etcd_client::Error> {
    let options = WatchOptions::new()
        .with_start_revision(first_revision)
        .with_prev_key();
    let mut stream = client.watch(KEY, Some(options)).await?;
    client.delete(KEY, None).await?;
    let mut seen = Vec::new();
    let mut id = -1;
    while seen.len() < 4 {
        let message = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
        let message = message.expect("events in time")?.expect("an open stream");
        id = message.watch_id();
        for event in message.events() {
            let value = event.kv().expect("a key-value").value().to_vec();
            seen.push((event.event_type(), String::from_utf8(value).expect("text")));
        }
    }
    let put = |value: &str| (EventType::Put, value.to_owned());
    let wanted = [
        put("one"),
        put("uno"),
        put("eins"),
        (EventType::Delete, String::new()),
    ];
    assert_eq!(seen, wanted);
    stream.cancel(id).await
}

async fn lease(client: &mut Client) -> Result<(), etcd_client::Error> {
    let granted = client
        .lease_grant(600, Some(LeaseGrantOptions::new().with_id(4711)))
        .await?;
    assert_eq!((granted.id(), granted.ttl()), (4711, 600));
    client
        .put("rust/leased", "x", Some(PutOptions::new().with_lease(4711)))
        .await?;
    let (mut keeper, mut kept) = client.lease_keep_alive(4711).await?;
    keeper.keep_alive().await?;
    assert_eq!(kept.message().await?.expect("an answer").ttl(), 600);
    client.lease_revoke(4711).await?;
    assert_eq!(client.get("rust/leased", None).await?.count(), 0);
    assert!(client.lease_revoke(4711).await.is_err());
    Ok(())
}
