//! When a Lease may be taken, by what was seen of it and how long ago.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use tokio::time::Instant;

use super::ElectionConfig;

/// What a candidate has seen.
pub(super) struct Claims {
    config: ElectionConfig,
    seen: Option<Seen>,
}

struct Seen {
    metadata: ObjectMeta,
    spec: LeaseSpec,
    version: String,
    /// When it was first seen so, by this program's own clock: those of others are not believed.
    at: Instant,
}

/// What to write.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Create(LeaseSpec),
    /// Only if the Lease is still of this resource version.
    Write(LeaseSpec, String),
}

impl Claims {
    pub(super) fn new(config: ElectionConfig) -> Claims {
        Claims { config, seen: None }
    }

    /// Takes in what is there now.
    pub(super) fn observe(&mut self, lease: Option<&Lease>, now: Instant) {
        let Some(lease) = lease else {
            self.seen = None;
            return;
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let metadata = ObjectMeta {
            managed_fields: None,
            ..lease.metadata.clone()
        };
        match &mut self.seen {
            Some(seen) if seen.spec == spec => {
                seen.metadata = metadata;
                seen.version = version;
            }
            seen => {
                *seen = Some(Seen {
                    metadata,
                    spec,
                    version,
                    at: now,
                });
            }
        }
    }

    /// What others have said of the Lease, which stays as it is.
    pub(super) fn metadata(&self) -> ObjectMeta {
        let seen = self.seen.as_ref();
        seen.map(|seen| seen.metadata.clone()).unwrap_or_default()
    }

    /// The renewal of what one has had all the time, without a look at it.
    pub(super) fn again(&self, now: Instant, wall: Timestamp) -> Option<Step> {
        let seen = self.seen.as_ref()?;
        (self.is_own(seen) && !seen.is_over(now)).then(|| self.renewed(seen, wall))
    }

    /// Whether the Lease was one's own when it was last seen.
    pub(super) fn holds(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| self.is_own(seen))
    }

    /// What to write after a look; nothing if another holds the lease.
    pub(super) fn step(&self, now: Instant, wall: Timestamp) -> Option<Step> {
        let Some(seen) = &self.seen else {
            return Some(Step::Create(self.spec(wall, wall, 0)));
        };
        let holder = seen.spec.holder_identity.as_deref().unwrap_or_default();
        if self.is_own(seen) {
            return Some(self.renewed(seen, wall));
        }
        if !holder.is_empty() && !seen.is_over(now) {
            return None;
        }
        let transitions = seen.spec.lease_transitions.unwrap_or_default();
        let spec = self.spec(wall, wall, transitions.saturating_add(1));
        Some(Step::Write(spec, seen.version.clone()))
    }

    /// What gives the lease back, if it is one's own.
    pub(super) fn release(&self, wall: Timestamp) -> Option<(LeaseSpec, String)> {
        let seen = self.seen.as_ref().filter(|seen| self.is_own(seen))?;
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..self.spec(wall, wall, seen.spec.lease_transitions.unwrap_or_default())
        };
        Some((spec, seen.version.clone()))
    }

    fn is_own(&self, seen: &Seen) -> bool {
        seen.spec.holder_identity.as_ref() == Some(&self.config.identity)
    }

    fn renewed(&self, seen: &Seen, wall: Timestamp) -> Step {
        let since = seen.spec.acquire_time.as_ref().map_or(wall, |time| time.0);
        let transitions = seen.spec.lease_transitions.unwrap_or_default();
        Step::Write(self.spec(wall, since, transitions), seen.version.clone())
    }

    fn spec(&self, now: Timestamp, since: Timestamp, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.config.lease.as_secs()).unwrap_or(i32::MAX),
            ),
            acquire_time: Some(MicroTime(since)),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

impl Seen {
    /// Whether nobody can hold it any more.
    fn is_over(&self, now: Instant) -> bool {
        let seconds = self.spec.lease_duration_seconds.unwrap_or_default();
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        now > self.at + lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(identity: &str) -> Claims {
        Claims::new(ElectionConfig::new("s", "n", identity))
    }

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn lease(spec: LeaseSpec, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        }
    }

    #[test]
    fn a_lease_is_made_renewed_and_taken_over_only_after_its_time() {
        let (mut a, mut b, start) = (claims("a"), claims("b"), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        a.observe(None, start);
        let Some(Step::Create(made)) = a.step(start, wall(100)) else {
            panic!("there is none to write to");
        };
        assert_eq!(
            (made.lease_transitions, made.lease_duration_seconds),
            (Some(0), Some(15))
        );
        a.observe(Some(&lease(made.clone(), "1")), start);
        b.observe(Some(&lease(made, "1")), after(1));
        let Some(Step::Write(renewed, version)) = a.again(after(2), wall(102)) else {
            panic!("it is its own");
        };
        assert_eq!(version, "1");
        assert_eq!(renewed.acquire_time, Some(MicroTime(wall(100))));
        assert_eq!(renewed.renew_time, Some(MicroTime(wall(102))));
        a.observe(Some(&lease(renewed.clone(), "2")), after(2));

        assert_eq!(
            (b.step(after(16), wall(0)), b.again(after(16), wall(0))),
            (None, None)
        );
        b.observe(Some(&lease(renewed.clone(), "2")), after(16));
        b.observe(Some(&lease(renewed, "2")), after(20));
        assert_eq!(
            b.step(after(31), wall(0)),
            None,
            "it was seen renewed 15 s ago"
        );
        let Some(Step::Write(taken, version)) = b.step(after(32), wall(132)) else {
            panic!("nobody holds it");
        };
        assert_eq!((taken.lease_transitions, version.as_str()), (Some(1), "2"));
        assert_eq!(taken.acquire_time, Some(MicroTime(wall(132))));

        assert_eq!(a.again(after(18), wall(0)), None, "it has to look first");
        a.observe(Some(&lease(taken.clone(), "3")), after(32));
        assert_eq!(
            (a.step(after(33), wall(0)), a.release(wall(0))),
            (None, None)
        );

        b.observe(Some(&lease(taken, "3")), after(32));
        let (given, version) = b.release(wall(140)).unwrap();
        assert_eq!(
            (given.holder_identity.as_deref(), version.as_str()),
            (Some(""), "3")
        );
        a.observe(Some(&lease(given, "4")), after(40));
        assert!(
            matches!(a.step(after(40), wall(0)), Some(Step::Write(spec, _)) if spec.lease_transitions == Some(2))
        );
    }

    #[test]
    fn who_starts_anew_under_the_same_name_goes_on() {
        let (mut a, now) = (claims("a"), Instant::now());
        let spec = LeaseSpec {
            holder_identity: Some("a".to_owned()),
            lease_transitions: Some(7),
            ..LeaseSpec::default()
        };
        a.observe(Some(&lease(spec, "1")), now);
        assert!(
            matches!(a.step(now, wall(1)), Some(Step::Write(spec, _)) if spec.lease_transitions == Some(7))
        );
    }
}
