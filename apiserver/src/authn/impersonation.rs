//! Acting as somebody else: the headers that ask for it, and the permissions that it takes.

mod modes;

use std::collections::{BTreeMap, HashMap};

use http::HeaderMap;
use objects::status::Status;
use parking_lot::Mutex;

use self::modes::Mode;
use crate::{attributes::Attributes, authz::Authorizer, user::User};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";

/// For how many users at most it is remembered how they act as others.
const USERS_MAX: usize = 10_000;

/// Judges who acts as somebody else. By which way a user was allowed last is remembered: that one is asked first, and its refusal
/// is the one that is told.
#[derive(Default)]
pub struct Impersonation {
    last: Mutex<HashMap<String, Mode>>,
}

impl Impersonation {
    /// Who is acted as: the user in whose name the request goes on, if the headers name one and the sender may act as it.
    ///
    /// # Errors
    /// 400 for headers that name no user, 403 for somebody who may not.
    pub fn impersonate(
        &self,
        authorizer: &dyn Authorizer,
        request: &Attributes,
        headers: &HeaderMap,
    ) -> Result<Option<User>, Status> {
        let Some(wanted) = wanted(headers)? else {
            return Ok(None);
        };
        let last = self.last.lock().get(&request.user.name).copied();
        let others = Mode::ALL.into_iter().filter(|mode| Some(*mode) != last);
        let mut first = None;
        for mode in last.into_iter().chain(others) {
            match mode.check(authorizer, request, &wanted) {
                None => {}
                Some(Ok(user)) => {
                    if Some(mode) != last {
                        self.remember(&request.user.name, mode);
                    }
                    return Ok(Some(user));
                }
                Some(Err(status)) => {
                    first.get_or_insert(status);
                }
            }
        }
        Err(first.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }

    fn remember(&self, user: &str, mode: Mode) {
        let mut last = self.last.lock();
        if last.len() >= USERS_MAX {
            // Nothing but the order of the questions is lost.
            last.clear();
        }
        last.insert(user.to_owned(), mode);
    }
}

/// Removes the headers, so that nobody further in takes notice of them.
pub fn strip(headers: &mut HeaderMap) {
    let own: Vec<_> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            [USER, UID, GROUP].contains(&name) || name.starts_with(EXTRA)
        })
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

/// The user that the headers describe, as they describe it.
fn wanted(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let first = |name: &str| match headers.get(name) {
        Some(value) => text(value.as_bytes()),
        None => Ok(String::new()),
    };
    let mut groups = Vec::new();
    for value in headers.get_all(GROUP) {
        groups.push(text(value.as_bytes())?);
    }
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let values = extra.entry(unescaped(key)).or_default();
            values.push(text(value.as_bytes())?);
        }
    }
    let wanted = User {
        name: first(USER)?,
        uid: first(UID)?,
        groups,
        extra,
    };
    if !wanted.name.is_empty() {
        return Ok(Some(wanted));
    }
    if wanted == User::default() {
        return Ok(None);
    }
    Err(Status::bad_request(format!(
        "requested {} without impersonating a user name",
        shown(&wanted)
    )))
}

fn text(bytes: &[u8]) -> Result<String, Status> {
    String::from_utf8(bytes.to_vec()).map_err(|fault| {
        Status::bad_request(format!("an impersonation header is no text: {fault}"))
    })
}

/// A key with its percent signs resolved; as it is, if one of them stands for nothing.
fn unescaped(key: &str) -> String {
    let mut bytes = Vec::with_capacity(key.len());
    let mut rest = key.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return key.to_owned();
        };
        bytes.push(u8::try_from(high * 16 + low).expect("two digits of sixteen are a byte"));
        rest = &after[2..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| key.to_owned())
}

/// A user as Go prints one, which is what upstream's message has.
fn shown(user: &User) -> String {
    let list = |texts: &[String]| {
        let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if user.groups.is_empty() {
        "[]string(nil)".to_owned()
    } else {
        list(&user.groups)
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries: Vec<String> = user
            .extra
            .iter()
            .map(|(key, values)| format!("{key:?}:{}", list(values)))
            .collect();
        format!("map[string][]string{{{}}}", entries.join(", "))
    };
    let (name, uid) = (&user.name, &user.uid);
    format!("&user.DefaultInfo{{Name:{name:?}, UID:{uid:?}, Groups:{groups}, Extra:{extra}}}")
}

#[cfg(test)]
mod tests;
