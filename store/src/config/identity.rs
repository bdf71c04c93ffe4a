//! Member and cluster IDs, derived as etcd derives them, so that equal flags give equal IDs.

use std::time::{SystemTime, UNIX_EPOCH};

use sha1::{Digest, Sha1};

use super::url::Url;

/// ID of a member of a new cluster: SHA-1 over its sorted peer URLs and the cluster token, the first eight bytes.
pub fn member_id(peer_urls: &[Url], cluster_token: &str) -> u64 {
    first_eight_bytes(hasher(peer_urls, cluster_token))
}

/// ID of a member that is added to a running cluster. The time is in it, so that no ID comes back.
pub fn new_member_id(peer_urls: &[Url], cluster_token: &str) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut hasher = hasher(peer_urls, cluster_token);
    hasher.update(since.unwrap_or_default().as_nanos().to_string());
    first_eight_bytes(hasher)
}

fn hasher(peer_urls: &[Url], cluster_token: &str) -> Sha1 {
    let mut sorted: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    sorted.sort_unstable();
    let mut hasher = Sha1::new();
    for url in sorted {
        hasher.update(url);
    }
    hasher.update(cluster_token);
    hasher
}

/// ID of a new cluster: SHA-1 over the IDs of its first members in rising order, the first eight bytes.
pub fn cluster_id(member_ids: impl IntoIterator<Item = u64>) -> u64 {
    let mut sorted: Vec<u64> = member_ids.into_iter().collect();
    sorted.sort_unstable();
    let mut hasher = Sha1::new();
    for id in sorted {
        hasher.update(id.to_be_bytes());
    }
    first_eight_bytes(hasher)
}

fn first_eight_bytes(hasher: Sha1) -> u64 {
    let digest = hasher.finalize();
    let (head, _) = digest
        .split_first_chunk::<8>()
        .expect("SHA-1 gives twenty bytes");
    u64::from_be_bytes(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IDs every etcd with default flags has.
    #[test]
    fn ids_equal_etcds_for_default_flags() {
        let urls = Url::parse_list("http://localhost:2380").unwrap();
        let member = member_id(&urls, "etcd-cluster");
        assert_eq!(format!("{member:x}"), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster_id([member])), "cdf818194e3a8c32");
    }

    #[test]
    fn order_of_urls_and_members_does_not_matter() {
        let urls = Url::parse_list("http://a:1,http://b:1").unwrap();
        let turned: Vec<Url> = urls.iter().rev().cloned().collect();
        assert_eq!(member_id(&urls, "token"), member_id(&turned, "token"));
        assert_eq!(cluster_id([1, 2]), cluster_id([2, 1]));
        assert_ne!(member_id(&urls, "token"), member_id(&urls, "other"));
    }
}
