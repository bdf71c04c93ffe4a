//! Who reads a page, and whether that one may: the apiserver is asked, and its answers are remembered for a moment.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use client::{Client, Config, Key, Kind};
use k8s_openapi::api::authentication::v1::TokenReview;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use objects::status::{Reason, Status};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::serving::ServingFlags;

/// The most answers of one kind that are remembered.
const REMEMBERED_MAX: usize = 1024;
/// Whoever is in it may do everything.
const MASTERS: &str = "system:masters";

/// Somebody who asks, as reviews tell it: `username`, `uid`, `groups`, `extra`.
#[derive(Debug, Clone, PartialEq)]
struct User(Value);

impl User {
    fn anonymous() -> User {
        User(json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]}))
    }

    fn name(&self) -> &str {
        self.0["username"].as_str().unwrap_or_default()
    }

    fn is_master(&self) -> bool {
        let mut groups = self.0["groups"].as_array().into_iter().flatten();
        groups.any(|group| group == MASTERS)
    }
}

/// What an apiserver answers, kept for a while.
struct Remembered<T> {
    answers: Mutex<HashMap<String, (Instant, T)>>,
}

impl<T: Clone> Remembered<T> {
    fn new() -> Remembered<T> {
        Remembered {
            answers: Mutex::default(),
        }
    }

    fn get(&self, question: &str) -> Option<T> {
        let answers = self.answers.lock();
        let (until, answer) = answers.get(question)?;
        (*until > Instant::now()).then(|| answer.clone())
    }

    fn put(&self, question: String, answer: T, lasts: Duration) {
        let (mut answers, now) = (self.answers.lock(), Instant::now());
        if answers.len() >= REMEMBERED_MAX {
            answers.retain(|_, (until, _)| *until > now);
        }
        if answers.len() < REMEMBERED_MAX {
            answers.insert(question, (now + lasts, answer));
        }
    }
}

/// What decides.
pub(crate) struct Access {
    /// Whom to ask who a token belongs to.
    tokens: Option<Client>,
    /// Whom to ask who may read what.
    permissions: Option<Client>,
    open_paths: Vec<String>,
    /// How long it counts whom a token belongs to, that somebody may, and that somebody may not.
    lasts: (Duration, Duration, Duration),
    users: Remembered<User>,
    allowed: Remembered<bool>,
}

impl Access {
    pub(crate) fn new(flags: &ServingFlags) -> Result<Access> {
        let tokens = client(flags.authentication_kubeconfig.as_deref())
            .context("--authentication-kubeconfig")?;
        let permissions = client(flags.authorization_kubeconfig.as_deref())
            .context("--authorization-kubeconfig")?;
        if tokens.is_none() {
            tracing::warn!("without --authentication-kubeconfig nobody who asks is known");
        }
        if permissions.is_none() {
            tracing::warn!("without --authorization-kubeconfig only open pages are answered");
        }
        Ok(Access {
            tokens,
            permissions,
            open_paths: flags.authorization_always_allow_paths.clone(),
            lasts: (
                flags.authentication_token_webhook_cache_ttl,
                flags.authorization_webhook_cache_authorized_ttl,
                flags.authorization_webhook_cache_unauthorized_ttl,
            ),
            users: Remembered::new(),
            allowed: Remembered::new(),
        })
    }

    /// Lets a request pass, or says why not.
    pub(crate) async fn judge(
        &self,
        token: Option<&str>,
        verb: &str,
        path: &str,
    ) -> Result<(), Status> {
        let user = self.user(token).await?;
        if self.is_open(path) || user.is_master() || self.may(&user, verb, path).await? {
            return Ok(());
        }
        let name = user.name();
        let message = format!("forbidden: User {name:?} cannot {verb} path {path:?}");
        Err(Status::new(Reason::Forbidden, message))
    }

    fn is_open(&self, path: &str) -> bool {
        self.open_paths.iter().any(|open| {
            let open = open.trim_start_matches('/');
            let path = path.trim_start_matches('/');
            match open.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path == open,
            }
        })
    }

    async fn user(&self, token: Option<&str>) -> Result<User, Status> {
        let (Some(token), Some(client)) = (token, &self.tokens) else {
            return Ok(User::anonymous());
        };
        if let Some(user) = self.users.get(token) {
            return Ok(user);
        }
        let unknown = || Status::new(Reason::Unauthorized, "Unauthorized");
        let review = json!({"spec": {"token": token}});
        let reviews = client.dynamic(TokenReview::resource());
        let answer = match reviews.create(&Key::new("", ""), &review).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "it is not known who a token belongs to");
                return Err(unknown());
            }
        };
        if answer["status"]["authenticated"] != true {
            return Err(unknown());
        }
        let user = User(answer["status"]["user"].clone());
        self.users.put(token.to_owned(), user.clone(), self.lasts.0);
        Ok(user)
    }

    async fn may(&self, user: &User, verb: &str, path: &str) -> Result<bool, Status> {
        let Some(client) = &self.permissions else {
            return Ok(false);
        };
        let question = format!("{verb} {path} {}", user.0);
        if let Some(allowed) = self.allowed.get(&question) {
            return Ok(allowed);
        }
        let review = json!({"spec": {
            "user": user.name(),
            "uid": user.0["uid"],
            "groups": user.0["groups"],
            "extra": user.0["extra"],
            "nonResourceAttributes": {"verb": verb, "path": path},
        }});
        let reviews = client.dynamic(SubjectAccessReview::resource());
        let answer = reviews.create(&Key::new("", ""), &review).await;
        let answer = answer.map_err(|error| {
            tracing::warn!(%error, path, "it is not known who may read a page");
            Status::internal(error)
        })?;
        let allowed = answer["status"]["allowed"] == true;
        let lasts = if allowed { self.lasts.1 } else { self.lasts.2 };
        self.allowed.put(question, allowed, lasts);
        Ok(allowed)
    }
}

/// Without a file: what a pod is given, if this is one.
fn client(kubeconfig: Option<&Path>) -> Result<Option<Client>> {
    let config = match kubeconfig {
        Some(file) if !file.as_os_str().is_empty() => Config::from_kubeconfig(file)?,
        _ => match Config::in_cluster() {
            Ok(config) => config,
            Err(_no_pod) => return Ok(None),
        },
    };
    Ok(Some(Client::new(config)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(open: &[&str]) -> Access {
        Access::new(&ServingFlags {
            authorization_always_allow_paths: open.iter().map(|&path| path.to_owned()).collect(),
            ..ServingFlags::default()
        })
        .unwrap()
    }

    #[tokio::test]
    async fn without_an_apiserver_only_open_pages_are_read() {
        let access = access(&["/healthz", "/debug/*"]);
        for (path, open) in [
            ("/healthz", true),
            ("/healthz/ping", false),
            ("/debug/a", true),
            ("/metrics", false),
        ] {
            let judged = access.judge(Some("a token that nobody can look up"), "get", path);
            match judged.await {
                Ok(()) => assert!(open, "{path}"),
                Err(status) => {
                    let words =
                        format!("forbidden: User \"system:anonymous\" cannot get path {path:?}");
                    assert_eq!((open, status.message, status.code), (false, words, 403));
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_decides_until_its_time_is_over() {
        let mut access = access(&[]);
        let nowhere = Config::new(
            vec!["https://127.0.0.1:1".to_owned()],
            client::Trust::Anybody,
        );
        access.tokens = Some(Client::new(nowhere).unwrap());
        let lasts = Duration::from_secs(10);
        let master = User(json!({"username": "root", "groups": ["a", "system:masters"]}));
        access.users.put("secret".to_owned(), master, lasts);
        assert!(
            access
                .judge(Some("secret"), "get", "/metrics")
                .await
                .is_ok()
        );
        tokio::time::advance(lasts).await;
        let refused = access.judge(Some("secret"), "get", "/metrics").await;
        assert_eq!(refused.unwrap_err().code, 401, "nobody can be asked");
    }
}
