//! get, put, del and compaction.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use anyhow::{Context, Result};
use bytes::Bytes;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest};

use super::arguments::{Del, Get, Order, Put, Target};
use super::{Service, Session};
use crate::client::ANSWER_BYTES_MAX;

pub(super) async fn get(session: &Session, get: &Get) -> Result<()> {
    let request = range_request(get)?;
    let mut client = client(session).await?;
    let answer = session.within(client.range(request)).await?;
    let mut printer = session.printer.clone();
    printer.value_only = get.print_value_only;
    printer.count_only = get.count_only;
    printer.get(&answer)
}

pub(super) async fn put(session: &Session, mut put: Put) -> Result<()> {
    if put.value.is_none() && !put.ignore_value {
        let mut value = Vec::new();
        std::io::stdin()
            .read_to_end(&mut value)
            .context("cannot read the value")?;
        put.value = Some(OsString::from_vec(value));
    }
    let request = put_request(put)?;
    let mut client = client(session).await?;
    let answer = session.within(client.put(request)).await?;
    session.printer.put(&answer)
}

pub(super) async fn delete(session: &Session, delete: &Del) -> Result<()> {
    let request = delete_request(delete)?;
    let mut client = client(session).await?;
    let answer = session.within(client.delete_range(request)).await?;
    session.printer.delete(&answer)
}

pub(super) async fn compact(session: &Session, revision: i64, physical: bool) -> Result<()> {
    let mut client = client(session).await?;
    session
        .within(client.compact(CompactionRequest { revision, physical }))
        .await?;
    outln!("compacted revision {revision}");
    Ok(())
}

pub(super) async fn client(session: &Session) -> Result<KvClient<Service>> {
    let client = KvClient::new(session.channel().await?);
    Ok(client.max_decoding_message_size(ANSWER_BYTES_MAX))
}

pub(super) fn range_request(get: &Get) -> Result<RangeRequest> {
    let (key, range_end) = keys(&get.key, get.range_end.as_deref(), get.prefix, get.from_key)?;
    let sort_target = match get.sort_by {
        None | Some(Target::Key) => SortTarget::Key,
        Some(Target::Create) => SortTarget::Create,
        Some(Target::Modify) => SortTarget::Mod,
        Some(Target::Value) => SortTarget::Value,
        Some(Target::Version) => SortTarget::Version,
    };
    let sort_order = match get.order {
        None => SortOrder::None,
        // The default order, which the server gives without sorting.
        Some(Order::Ascend) if sort_target == SortTarget::Key => SortOrder::None,
        Some(Order::Ascend) => SortOrder::Ascend,
        Some(Order::Descend) => SortOrder::Descend,
    };
    Ok(RangeRequest {
        key,
        range_end,
        limit: get.limit,
        revision: get.rev,
        sort_order: sort_order.into(),
        sort_target: sort_target.into(),
        serializable: get.consistency == "s",
        keys_only: get.keys_only,
        count_only: get.count_only,
        min_mod_revision: get.min_mod_rev,
        max_mod_revision: get.max_mod_rev,
        min_create_revision: get.min_create_rev,
        max_create_revision: get.max_create_rev,
    })
}

pub(super) fn put_request(put: Put) -> Result<PutRequest> {
    if put.ignore_value && put.value.is_some() {
        misuse!("put command needs only 1 argument when 'ignore-value' is set");
    }
    Ok(PutRequest {
        key: put.key.into_vec().into(),
        value: put.value.unwrap_or_default().into_vec().into(),
        lease: put.lease,
        prev_kv: put.prev_kv,
        ignore_value: put.ignore_value,
        ignore_lease: put.ignore_lease,
    })
}

pub(super) fn delete_request(delete: &Del) -> Result<DeleteRangeRequest> {
    let Del {
        key,
        range_end,
        prefix,
        from_key,
        prev_kv,
    } = delete;
    let (key, range_end) = keys(key, range_end.as_deref(), *prefix, *from_key)?;
    Ok(DeleteRangeRequest {
        key,
        range_end,
        prev_kv: *prev_kv,
    })
}

/// etcd's two words for a set of keys.
pub(super) fn keys(
    key: &OsStr,
    range_end: Option<&OsStr>,
    prefix: bool,
    from_key: bool,
) -> Result<(Bytes, Bytes)> {
    const ZERO: Bytes = Bytes::from_static(b"\0");
    if prefix && from_key {
        misuse!("`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    if range_end.is_some() && (prefix || from_key) {
        misuse!(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"
        );
    }
    let start = Bytes::copy_from_slice(key.as_bytes());
    Ok(match (range_end, prefix || from_key) {
        (Some(end), _) => (start, Bytes::copy_from_slice(end.as_bytes())),
        (None, false) => (start, Bytes::new()),
        (None, true) if key.is_empty() => (ZERO, ZERO),
        (None, true) if from_key => (start, ZERO),
        (None, true) => {
            let end = prefix_end(&start).unwrap_or(ZERO);
            (start, end)
        }
    })
}

/// The first key behind all that begin with `prefix`; None when there is none.
pub(super) fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_ranges() {
        let keys = |key: &str, end: Option<&str>, prefix, from_key| {
            keys(OsStr::new(key), end.map(OsStr::new), prefix, from_key)
        };
        let range = |key, end, prefix, from_key| {
            let (start, end) = keys(key, end, prefix, from_key).unwrap();
            (start.to_vec(), end.to_vec())
        };
        assert_eq!(range("a", None, false, false), (b"a".to_vec(), Vec::new()));
        assert_eq!(
            range("a", Some("c"), false, false),
            (b"a".to_vec(), b"c".to_vec())
        );
        assert_eq!(
            range("a", None, true, false),
            (b"a".to_vec(), b"b".to_vec())
        );
        assert_eq!(
            range("a", None, false, true),
            (b"a".to_vec(), b"\0".to_vec())
        );
        assert_eq!(
            range("", None, true, false),
            (b"\0".to_vec(), b"\0".to_vec())
        );
        assert!(keys("a", Some("b"), true, false).is_err());
        assert!(keys("a", None, true, true).is_err());
    }

    #[test]
    fn the_end_of_a_prefix_carries() {
        assert_eq!(prefix_end(b"a\xff").as_deref(), Some(&b"b"[..]));
        assert_eq!(prefix_end(b"\xff\xff"), None);
    }
}
