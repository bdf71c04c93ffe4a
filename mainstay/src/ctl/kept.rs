//! A lease that a command keeps alive: at whichever member answers, and no longer than it certainly lasts.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use proto::etcdserverpb::lease_client::LeaseClient;
use proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use super::{Service, Session};

/// An attempt may take the lease's time divided by this: when one member does not answer, there is time to ask others.
const ATTEMPTS: u32 = 6;
/// Shortest time between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);

/// A lease that is renewed again and again.
pub(super) struct Kept {
    pub(super) id: i64,
    ttl: Duration,
    /// Until when the lease certainly lasts: its time, counted from when the request was sent that was answered last.
    until: Instant,
    /// The member that answered last.
    service: Service,
    /// How often a member was left because it did not answer.
    left: usize,
}

impl Kept {
    /// A new lease.
    pub(super) async fn grant(session: &Session, ttl_seconds: i64) -> Result<Kept> {
        let service = session.channel().await?;
        let began = Instant::now();
        let request = LeaseGrantRequest {
            ttl: ttl_seconds,
            id: 0,
        };
        let mut client = LeaseClient::new(service.clone());
        let answer = session.within(client.lease_grant(request)).await?;
        Ok(Kept::new((answer.id, answer.ttl), began, service))
    }

    /// A lease that is there, renewed, with what was answered. One that is gone has no time left in the answer.
    pub(super) async fn find(session: &Session, id: i64) -> Result<(Kept, LeaseKeepAliveResponse)> {
        let service = session.channel().await?;
        let began = Instant::now();
        let asked = timeout(session.global.command_timeout, ask(service.clone(), id)).await;
        let answer = asked.map_err(|_elapsed| anyhow!("context deadline exceeded"))??;
        Ok((Kept::new((id, answer.ttl), began, service), answer))
    }

    /// One whose time in seconds was told in answer to a request that was sent then.
    fn new((id, ttl): (i64, i64), began: Instant, service: Service) -> Kept {
        let ttl = Duration::from_secs(ttl.unsigned_abs());
        Kept {
            id,
            ttl,
            until: began + ttl,
            service,
            left: 0,
        }
    }

    /// A connection to the member that answered last.
    pub(super) fn service(&self) -> Service {
        self.service.clone()
    }

    /// Waits until a third of the lease's time is over and renews it. `None` once it has run out, or may have.
    pub(super) async fn renew(&mut self, session: &Session) -> Option<LeaseKeepAliveResponse> {
        let until = self.until;
        let renewing = async {
            sleep_until(until - self.ttl + self.ttl / 3).await;
            self.renew_now(session).await
        };
        timeout_at(until, renewing).await.ok().flatten()
    }

    async fn renew_now(&mut self, session: &Session) -> Option<LeaseKeepAliveResponse> {
        let mut service = self.service.clone();
        loop {
            let began = Instant::now();
            let asked = timeout(self.ttl / ATTEMPTS, ask(service.clone(), self.id)).await;
            if let Ok(Ok(answer)) = asked {
                if answer.ttl <= 0 {
                    return None;
                }
                self.ttl = Duration::from_secs(answer.ttl.unsigned_abs());
                self.until = began + self.ttl;
                self.service = service;
                return Some(answer);
            }
            // This member may be gone, or know no leader, while others can tell.
            self.left += 1;
            let connecting = session.channel_beyond(self.left);
            if let Ok(Ok(other)) = timeout(self.ttl / ATTEMPTS, connecting).await {
                service = other;
            }
            sleep_until(began + ATTEMPT_PAUSE).await;
        }
    }

    /// Renews it as long as this is polled; returns when it is lost.
    pub(super) async fn lost(&mut self, session: &Session) -> anyhow::Error {
        while self.renew(session).await.is_some() {}
        anyhow!("session expired")
    }

    /// Ends it, and with it every key that it holds.
    pub(super) async fn revoke(self, session: &Session) -> Result<()> {
        let request = LeaseRevokeRequest { id: self.id };
        let mut client = LeaseClient::new(self.service);
        let Err(error) = session.within(client.lease_revoke(request)).await else {
            return Ok(());
        };
        if is_gone(&error) {
            return Err(error);
        }
        // Nobody else has a lease of this id: to revoke it twice is to revoke it once.
        let service = session.channel_beyond(self.left + 1).await?;
        let mut client = LeaseClient::new(service);
        match session.within(client.lease_revoke(request)).await {
            Err(error) if !is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<Status>();
    status.is_some_and(|status| status.code() == Code::NotFound)
}

/// Asks one member to renew a lease.
async fn ask(service: Service, id: i64) -> Result<LeaseKeepAliveResponse> {
    let request = LeaseKeepAliveRequest { id };
    let mut client = LeaseClient::new(service);
    let answers = client.lease_keep_alive(tokio_stream::once(request)).await?;
    let answer = answers.into_inner().next().await;
    Ok(answer.context("the server ended the stream")??)
}
