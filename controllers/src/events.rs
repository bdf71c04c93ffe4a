//! What a decision wants to tell the users of an object.

/// An event about an object, as a decision's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) is_warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Event {
    pub(crate) fn normal(reason: &str, message: impl Into<String>) -> Event {
        Event {
            is_warning: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn warning(reason: &str, message: impl Into<String>) -> Event {
        Event {
            is_warning: true,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}
