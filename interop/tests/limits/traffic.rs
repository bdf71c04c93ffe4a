//! Metrics of traffic by prefix and by client, with few names however many there are.

use anyhow::{Result, ensure};
use interop::cluster::Cluster;

use super::start;

fn page(cluster: &Cluster) -> Result<String> {
    Ok(interop::http::get(cluster.members[0].client_port, "/metrics")?.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_counted_by_prefix_and_client_and_has_few_names() -> Result<()> {
    /// Prefixes that `store` counts by name, and the rest.
    const NAMES_MAX: usize = 64 + 1;
    let cluster = start(1, &[]).await?;
    let mut client = cluster.client(0).await?;
    for number in 0..3 {
        client
            .put(&format!("/registry/pods/{number}"), "1234")
            .await?;
    }
    client.list("/registry/pods/").await?;
    let text = page(&cluster)?;
    let puts = "mainstay_prefix_requests_total{op=\"put\",prefix=\"/registry/pods/\"} 3";
    let ranges = "mainstay_prefix_requests_total{op=\"range\",prefix=\"/registry/pods/\"} 1";
    // A key of 16 bytes and a value of 4, three times.
    let bytes = "mainstay_prefix_bytes_total{op=\"put\",prefix=\"/registry/pods/\"} 60";
    for line in [puts, ranges, bytes] {
        ensure!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    for name in ["requests", "received_bytes", "sent_bytes"] {
        let line = format!("mainstay_client_{name}_total{{client=\"127.0.0.1\"}} ");
        ensure!(text.contains(&line), "{line} in {text}");
    }
    for number in 0..500 {
        client.put(&format!("/many/{number}/k"), "v").await?;
    }
    let text = page(&cluster)?;
    let puts = text
        .lines()
        .filter(|line| line.starts_with("mainstay_prefix_requests_total{op=\"put\""));
    ensure!(puts.clone().count() <= NAMES_MAX, "{text}");
    let sum: usize = puts
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok())
        .sum();
    ensure!(sum == 503, "{sum} puts are counted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_may_be_named() -> Result<()> {
    let cluster = start(1, &["--metric-prefixes=/a/,/a/b/"]).await?;
    let mut client = cluster.client(0).await?;
    for key in ["/a/x", "/a/b/x", "/c/d/x"] {
        client.put(key, "v").await?;
    }
    let text = page(&cluster)?;
    for prefix in ["/a/", "/a/b/", "other"] {
        let line = format!("mainstay_prefix_requests_total{{op=\"put\",prefix=\"{prefix}\"}} 1");
        ensure!(text.contains(&line), "{line} in {text}");
    }
    Ok(())
}
