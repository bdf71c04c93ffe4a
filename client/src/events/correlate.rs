//! Which events are written: the first of its like is made, the same again is counted, many alike become one, a flood is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;

use super::EventType;
use super::recent::Recent;
use crate::batch::Write;
use crate::kind::Key;
use crate::request::Patch;

/// Events that differ only by their message, within so long after the last, of which all further ones become one.
const ALIKE_MAX: usize = 10;
const ALIKE_WITHIN: SignedDuration = SignedDuration::from_mins(10);
/// What is put before the message of one that stands for many.
const COMBINED: &str = "(combined from similar events): ";
/// Events of one component about one object at once, and after that one each so long.
const BURST: i32 = 25;
const REFILL: SignedDuration = SignedDuration::from_mins(5);
/// Longest name of an object.
const NAME_BYTES_MAX: usize = 253;
/// Of the time in an event's name, with a dot before it.
const SUFFIX_BYTES: usize = 17;

/// What happened.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) about: ObjectReference,
    pub(super) r#type: EventType,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) component: Arc<str>,
    pub(super) host: Arc<str>,
    pub(super) at: Timestamp,
}

/// What to write.
#[derive(Debug, Clone)]
pub(super) struct Action {
    event: Event,
    /// Whether it is made, and not counted.
    is_new: bool,
}

/// Who says something about what, as text.
type Id = String;

#[derive(Default)]
pub(super) struct Correlator {
    alike: Recent<Id, Alike>,
    written: Recent<Id, Written>,
    floods: Recent<Id, Flood>,
    /// The time in the last name, which no other name has.
    named: i128,
}

/// Events that differ only by their message.
struct Alike {
    messages: BTreeSet<String>,
    last: Timestamp,
}

/// An event as it was last written.
#[derive(Clone)]
struct Written {
    name: String,
    first: Timestamp,
    count: i32,
}

struct Flood {
    left: i32,
    /// Since when the next one is being refilled.
    since: Timestamp,
}

impl Correlator {
    /// What an event comes to; nothing if there are too many.
    pub(super) fn take(&mut self, mut happened: Happened) -> Option<Action> {
        let now = happened.at;
        let id = self.combine(&mut happened, now);
        let fresh = self.name(&happened);
        let written = self.written.entry(id, || Written {
            name: fresh,
            first: now,
            count: 0,
        });
        written.count = written.count.saturating_add(1);
        let written = written.clone();
        let flood = self.floods.entry(source(&happened), || Flood {
            left: BURST,
            since: now,
        });
        flood.allows(now).then(|| Action {
            is_new: written.count == 1,
            event: event(happened, written),
        })
    }

    /// Makes one of many alike, and tells as which event this one is counted.
    fn combine(&mut self, happened: &mut Happened, now: Timestamp) -> Id {
        let like = format!("{}\0{}", source(happened), happened.reason);
        let alike = self.alike.entry(like.clone(), || Alike {
            messages: BTreeSet::new(),
            last: now,
        });
        if now.duration_since(alike.last) > ALIKE_WITHIN {
            alike.messages.clear();
        }
        alike.last = now;
        alike.messages.insert(happened.message.clone());
        if alike.messages.len() < ALIKE_MAX {
            return format!("{like}\0{}", happened.message);
        }
        alike.messages.pop_first();
        happened.message.insert_str(0, COMBINED);
        like
    }

    /// A name that no event has yet: the object's, and the time.
    fn name(&mut self, happened: &Happened) -> String {
        self.named = happened.at.as_nanosecond().max(self.named + 1);
        let object = happened.about.name.as_deref().unwrap_or_default();
        let end = object.floor_char_boundary(NAME_BYTES_MAX - SUFFIX_BYTES);
        format!("{}.{:x}", &object[..end], self.named)
    }
}

impl Flood {
    fn allows(&mut self, now: Timestamp) -> bool {
        while self.left < BURST && now.duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left == BURST {
            self.since = now;
        }
        let allows = self.left > 0;
        if allows {
            self.left -= 1;
        }
        allows
    }
}

/// Who speaks of which object, in which tone.
fn source(happened: &Happened) -> Id {
    let about = &happened.about;
    let parts = [
        Some(&*happened.component),
        Some(&*happened.host),
        about.kind.as_deref(),
        about.namespace.as_deref(),
        about.name.as_deref(),
        about.field_path.as_deref(),
        about.uid.as_deref(),
        about.api_version.as_deref(),
        Some(happened.r#type.name()),
    ];
    parts.map(Option::unwrap_or_default).join("\0")
}

fn event(happened: Happened, written: Written) -> Event {
    let namespace = happened.about.namespace.as_deref();
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    Event {
        metadata: ObjectMeta {
            namespace: Some(namespace.unwrap_or("default").to_owned()),
            name: Some(written.name),
            ..ObjectMeta::default()
        },
        first_timestamp: Some(Time(written.first)),
        last_timestamp: Some(Time(happened.at)),
        count: Some(written.count),
        message: Some(happened.message),
        reason: Some(happened.reason),
        type_: Some(happened.r#type.name().to_owned()),
        source: Some(EventSource {
            component: Some(happened.component.to_string()),
            host: Some(happened.host.to_string()).filter(|host| !host.is_empty()),
        }),
        reporting_component: Some(happened.component.to_string()),
        reporting_instance: Some(happened.host.to_string()),
        involved_object: happened.about,
        ..Event::default()
    }
}

impl Action {
    pub(super) fn key(&self) -> Key {
        Key::of(&self.event)
    }

    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn into_event(self) -> Event {
        self.event
    }

    pub(super) fn write(&self) -> Write {
        if self.is_new {
            return Write::create(&self.event);
        }
        let Event {
            count,
            last_timestamp,
            message,
            ..
        } = &self.event;
        let patch = json!({"count": count, "lastTimestamp": last_timestamp, "message": message});
        Write::patch::<Event>(&self.key(), Patch::Merge(patch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(second: i64, reason: &str, message: &str) -> Happened {
        Happened {
            about: ObjectReference {
                kind: Some("Pod".to_owned()),
                name: Some("web".to_owned()),
                ..ObjectReference::default()
            },
            r#type: EventType::Normal,
            reason: reason.to_owned(),
            message: message.to_owned(),
            component: Arc::from("c"),
            host: Arc::from(""),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn what_happens_again_is_counted() {
        let mut correlator = Correlator::default();
        let first = correlator.take(happened(1, "Pulled", "m")).unwrap();
        let other = correlator.take(happened(1, "Pulled", "n")).unwrap();
        let again = correlator.take(happened(5, "Pulled", "m")).unwrap();
        assert_eq!(first.key(), Key::new("default", "web.3b9aca00"));
        assert_eq!(other.key(), Key::new("default", "web.3b9aca01"));
        assert_eq!(again.key(), first.key());
        assert!(first.is_new() && other.is_new() && !again.is_new());
        let event = again.into_event();
        assert_eq!(event.count, Some(2));
        assert_eq!(event.first_timestamp.unwrap().0.as_second(), 1);
        assert_eq!(event.last_timestamp.unwrap().0.as_second(), 5);
    }

    #[test]
    fn many_that_differ_only_by_their_message_become_one() {
        let mut correlator = Correlator::default();
        let take = |correlator: &mut Correlator, second, message: String| {
            correlator
                .take(happened(second, "Failed", &message))
                .unwrap()
        };
        let actions: Vec<_> = (0..12)
            .map(|at| take(&mut correlator, 1, format!("m{at}")))
            .collect();
        assert!(actions[..10].iter().all(Action::is_new));
        assert!(!actions[10].is_new() && !actions[11].is_new());
        assert_eq!(actions[9].key(), actions[11].key());
        let combined = actions[11].clone().into_event();
        assert_eq!(
            combined.message.unwrap(),
            "(combined from similar events): m11"
        );
        assert_eq!(combined.count, Some(3));
        let later = take(&mut correlator, 602, "m12".to_owned());
        assert!(later.is_new(), "ten minutes later it begins anew");
        assert_eq!(later.into_event().message.unwrap(), "m12");
    }

    #[test]
    fn a_flood_about_one_object_is_left_out() {
        let mut correlator = Correlator::default();
        let mut taken = |second, times: i32| {
            let taken =
                (0..times).filter(|_| correlator.take(happened(second, "r", "m")).is_some());
            taken.count()
        };
        assert_eq!(taken(0, 40), 25);
        assert_eq!(taken(299, 1), 0);
        assert_eq!(taken(300, 5), 1);
        assert_eq!(taken(1_000_000, 40), 25);
        let mut other = happened(1_000_000, "r", "m");
        other.about.name = Some("x".repeat(300));
        let name = correlator.take(other).unwrap().key().name;
        assert!(name.len() <= NAME_BYTES_MAX && name.starts_with("xxx"));
    }
}
