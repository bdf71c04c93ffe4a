//! Whether everything works again once nothing is broken: one leader, and every member serves.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use check::history::{Outcome, Range, Request};
use tokio::time::{Instant, timeout};

use crate::client::{Client, REQUEST_TIMEOUT};
use crate::cluster::{POLL_INTERVAL, Roles};

/// A key of nobody's, for reads whose answer plays no part.
const NO_KEY: &str = "ready?";

/// Makes one linearizable read; the revision it was answered with.
///
/// # Errors
/// When it is not answered in time.
pub async fn reads(client: &mut Client) -> Result<i64> {
    let read = Request::Range(Range {
        key: NO_KEY.into(),
        ..Range::default()
    });
    match timeout(REQUEST_TIMEOUT, client.ask(&read)).await {
        Ok(Outcome::Ok(response)) => Ok(response.revision),
        Ok(Outcome::Failed(refusal)) => bail!("{}", refusal.text),
        Ok(Outcome::Unknown { error }) => bail!("{error}"),
        Err(_) => bail!("no answer"),
    }
}

/// Waits until one leader is agreed on by all members and each answers a linearizable read.
///
/// # Errors
/// In words, when that does not come about within `limit`.
pub async fn wait(urls: &[String], limit: Duration) -> Result<Roles> {
    let deadline = Instant::now() + limit;
    let mut missing = "never asked".to_owned();
    while Instant::now() < deadline {
        match look(urls).await {
            Ok(roles) => return Ok(roles),
            Err(error) => missing = format!("{error:#}"),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    bail!(
        "{missing}, {} s after the last fault was healed",
        limit.as_secs()
    )
}

async fn look(urls: &[String]) -> Result<Roles> {
    let roles = Roles::read(urls).await;
    roles
        .leader
        .context("no leader that a majority agrees on")?;
    for (member, status) in roles.members.iter().enumerate() {
        let status = status.with_context(|| format!("member {member} does not say who leads"))?;
        if status.leader != roles.leader_id {
            bail!("member {member} follows another leader");
        }
        let mut client = Client::new(&urls[member])?;
        reads(&mut client)
            .await
            .with_context(|| format!("member {member} answers no linearizable read"))?;
    }
    Ok(roles)
}
