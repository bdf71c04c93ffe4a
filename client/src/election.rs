//! One leader among several programs, by a Lease that it renews.
//!
//! What the fence of a [`Term`] promises: its client begins no write after the time at which another program may have taken the
//! Lease over, as far as the clocks of both run at about the same rate, and it waits no longer than until then for an answer. What
//! it cannot promise: a write that was sent in time may be delayed on its way and be done later, when another leads already. Writes
//! for which that matters carry a resource version or a UID, as all should.

mod claim;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;
use tokio::time::Instant;

use self::claim::{Claims, Step};
use crate::client::Client;
use crate::config::ConfigError;
use crate::error::Error;
use crate::fence::Fence;
use crate::kind::{Key, Kind};
use crate::pause::chance;

/// A write is not begun in the last tenth of a lease: clocks may run at different rates.
const MARGIN_PARTS: u32 = 10;
/// A renewal is given up after a part of the time that all have, so that another server can be asked.
const ATTEMPT_PARTS: u32 = 4;
/// Writes that are tried to give a lease back while others write to it too.
const GIVE_BACK_TRIES: u32 = 5;

/// Which Lease, and how long everything lasts.
#[derive(Debug, Clone)]
pub struct ElectionConfig {
    pub namespace: String,
    pub name: String,
    /// Who the candidate is, which no other may be.
    pub identity: String,
    /// How long others wait for a renewal before they take over.
    pub lease: Duration,
    /// How long the leader tries to renew before it gives up.
    pub renew: Duration,
    /// Pause between two attempts.
    pub retry: Duration,
}

impl ElectionConfig {
    /// With upstream's times: 15, 10 and 2 seconds.
    #[must_use]
    pub fn new(namespace: &str, name: &str, identity: &str) -> ElectionConfig {
        ElectionConfig {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |why: &str| Err(ConfigError(format!("election: {why}")));
        if self.identity.is_empty() || self.name.is_empty() {
            return refuse("a name and an identity are required");
        }
        if self.lease.as_secs() == 0 || self.lease.subsec_nanos() != 0 {
            return refuse("a lease lasts whole seconds");
        }
        if self.retry.is_zero() || self.renew <= self.retry * 6 / 5 {
            return refuse("the time to renew must be longer than the pause between attempts");
        }
        if self.lease - self.lease / MARGIN_PARTS <= self.renew {
            return refuse("a lease must be longer than the time to renew it");
        }
        Ok(())
    }
}

/// A candidate.
pub struct Election {
    /// Without the short time for an attempt.
    client: Client,
    leases: Client,
    config: ElectionConfig,
}

/// The time in which a candidate leads.
#[derive(Clone)]
pub struct Term {
    client: Client,
    fence: Fence,
}

impl Term {
    /// A client that writes nothing once the term may be over: it fails with [`Error::TermOver`].
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// How long the term certainly lasts without another renewal; none if it may be over.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.fence.left()
    }
}

/// The lease was lost, and the term is over.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the lease {0} was lost")]
pub struct TermLost(Key);

impl Election {
    /// # Errors
    ///
    /// If the times make no sense together.
    pub fn new(client: Client, config: ElectionConfig) -> Result<Election, ConfigError> {
        config.check()?;
        Ok(Election {
            leases: client.with_timeout(config.renew / ATTEMPT_PARTS),
            client,
            config,
        })
    }

    /// Waits until the candidate leads, and does something while it does. When that ends by itself, the lease is given back. When the
    /// lease is lost, it is dropped where it stands. It must not block its thread, or the lease is not renewed.
    ///
    /// # Errors
    ///
    /// If the lease was lost. Most programs end then.
    pub async fn run<T, L: Future<Output = T>>(
        &self,
        lead: impl FnOnce(Term) -> L,
    ) -> Result<T, TermLost> {
        let mut claims = Claims::new(self.config.clone());
        let until = self.acquire(&mut claims).await;
        tracing::info!(lease = %self.key(), identity = self.config.identity, "leads now");
        let fence = Fence::new(until);
        let term = Term {
            client: self.client.fenced(fence.clone()),
            fence: fence.clone(),
        };
        let ended = tokio::select! {
            biased;
            () = self.renew(&mut claims, &fence) => None,
            result = lead(term) => Some(result),
        };
        fence.close();
        let Some(result) = ended else {
            tracing::warn!(lease = %self.key(), "leads no longer");
            return Err(TermLost(self.key()));
        };
        self.release(&mut claims).await;
        Ok(result)
    }

    /// Gets the lease, and tells until when it is certainly held.
    async fn acquire(&self, claims: &mut Claims) -> Instant {
        loop {
            let began = Instant::now();
            match self.attempt(claims).await {
                Ok(true) => return self.safe_until(began),
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = %self.key(), %error, "no lease can be had"),
            }
            let pause = self.config.retry + chance(self.config.retry * 6 / 5);
            tokio::time::sleep(pause).await;
        }
    }

    /// Keeps the lease, until it cannot be kept.
    async fn renew(&self, claims: &mut Claims, fence: &Fence) {
        let mut deadline = Instant::now() + self.config.renew;
        loop {
            tokio::time::sleep(self.config.retry).await;
            let began = Instant::now();
            match tokio::time::timeout_at(deadline, self.attempt(claims)).await {
                Ok(Ok(true)) => {
                    fence.extend(self.safe_until(began));
                    deadline = began + self.config.renew;
                }
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(lease = %self.key(), %error, "the lease is not renewed");
                }
                Err(_elapsed) => return,
            }
        }
    }

    /// Takes or renews the lease if it is free or one's own. Tells whether it is.
    async fn attempt(&self, claims: &mut Claims) -> Result<bool, Error> {
        if let Some(step) = claims.again(Instant::now(), jiff::Timestamp::now()) {
            match self.carry_out(claims, step).await {
                Err(error) if error.is_conflict() || error.is_not_found() => {}
                done => return done,
            }
        }
        let lease = match self.leases.get::<Lease>(&self.key()).await {
            Ok(lease) => Some(lease),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        claims.observe(lease.as_ref(), Instant::now());
        match claims.step(Instant::now(), jiff::Timestamp::now()) {
            None => Ok(false),
            // Of one's own Lease others have changed something else, and the next attempt may succeed.
            Some(step) if claims.holds() => self.carry_out(claims, step).await,
            Some(step) => match self.carry_out(claims, step).await {
                // Somebody else was quicker.
                Err(error) if error.is_conflict() || error.is_already_exists() => Ok(false),
                done => done,
            },
        }
    }

    async fn carry_out(&self, claims: &mut Claims, step: Step) -> Result<bool, Error> {
        let lease = match step {
            Step::Create(spec) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        namespace: Some(self.config.namespace.clone()),
                        name: Some(self.config.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(spec),
                };
                self.leases.create(&lease).await?
            }
            Step::Write(spec, version) => self.write(claims, spec, version).await?,
        };
        claims.observe(Some(&lease), Instant::now());
        Ok(true)
    }

    /// Replaces the whole Lease, which candidates may do who may not patch it.
    async fn write(
        &self,
        claims: &Claims,
        spec: LeaseSpec,
        version: String,
    ) -> Result<Lease, Error> {
        let lease = Lease {
            metadata: ObjectMeta {
                resource_version: Some(version),
                ..claims.metadata()
            },
            spec: Some(spec),
        };
        let leases = self.leases.dynamic(<Lease as Kind>::resource());
        let written = leases.update(&self.key(), &json!(lease)).await?;
        serde_json::from_value(written).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Gives the lease back. Others wait for its end if that fails.
    async fn release(&self, claims: &mut Claims) {
        if let Err(error) = self.give_back(claims).await {
            tracing::warn!(lease = %self.key(), %error, "the lease is not given back");
        }
    }

    async fn give_back(&self, claims: &mut Claims) -> Result<(), Error> {
        for _ in 1..GIVE_BACK_TRIES {
            match self.try_give_back(claims).await {
                Err(error) if error.is_conflict() => {}
                done => return done,
            }
            // Somebody wrote something else, or a renewal that was under way when the work ended has been written.
            let lease = self.leases.get::<Lease>(&self.key()).await?;
            claims.observe(Some(&lease), Instant::now());
        }
        self.try_give_back(claims).await
    }

    async fn try_give_back(&self, claims: &Claims) -> Result<(), Error> {
        match claims.release(jiff::Timestamp::now()) {
            None => Ok(()),
            Some((spec, version)) => self.write(claims, spec, version).await.map(drop),
        }
    }

    /// Others count from when they see what was written, which is not before it was sent.
    fn safe_until(&self, began: Instant) -> Instant {
        began + self.config.lease - self.config.lease / MARGIN_PARTS
    }

    fn key(&self) -> Key {
        Key::new(&*self.config.namespace, &*self.config.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_make_no_sense_are_refused() {
        let good = ElectionConfig::new("s", "n", "i");
        good.check().unwrap();
        let secs = Duration::from_secs;
        for (lease, renew, retry) in [
            (10, 10, 2),
            (15, 2, 2),
            (15, 10, 0),
            (0, 10, 2),
            (11, 10, 2),
        ] {
            let bad = ElectionConfig {
                lease: secs(lease),
                renew: secs(renew),
                retry: secs(retry),
                ..good.clone()
            };
            assert!(bad.check().is_err(), "{bad:?}");
        }
        let nobody = ElectionConfig {
            identity: String::new(),
            ..good
        };
        assert!(nobody.check().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_closes_by_itself_and_for_good() {
        let fence = Fence::new(Instant::now() + Duration::from_secs(3));
        assert_eq!(fence.left(), Some(Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(fence.left(), None);
        fence.extend(Instant::now() + Duration::from_secs(1));
        assert_eq!(fence.left(), Some(Duration::from_secs(1)));
        fence.close();
        fence.extend(Instant::now() + Duration::from_secs(1));
        assert_eq!(fence.left(), None);
    }
}
