//! Fills the secrets that hold tokens of service accounts, and removes those whose account is gone.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::{Change, Client, DeleteOptions, Key, Next, Patch, Store};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use serde_json::{Value, json};

use crate::context::Context;
use crate::material::Material;
use crate::patches;
use crate::tokens::{Subject, token};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// Secrets by the namespace and name of their account.
const BY_ACCOUNT: &str = "account of a token";

/// Does nothing where there is no key to sign tokens with.
pub(crate) fn start(context: &Context) {
    if context.material.token_key.is_none() {
        tracing::info!("without --service-account-private-key-file secrets get no tokens");
        return;
    }
    let secrets = context.informers.of::<Secret>();
    let accounts = context.informers.of::<ServiceAccount>();
    secrets.index(BY_ACCOUNT, |secret| {
        let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
        let account = account_of(secret).map(|account| format!("{namespace}/{account}"));
        account.into_iter().collect()
    });
    let queue = context.queue("serviceaccount_tokens_service");
    let added = queue.clone();
    secrets.on_change(move |change| {
        let is_gone = matches!(change, Change::Deleted(_));
        if !is_gone && account_of(change.object()).is_some() {
            added.add(Key::of(&**change.object()));
        }
    });
    let added = queue.clone();
    let store = secrets.store();
    accounts.on_change(move |change| {
        let account = Key::of(&**change.object());
        for secret in store.by_index(BY_ACCOUNT, &account.to_string()) {
            added.add(Key::of(&*secret));
        }
    });
    let tokens = Arc::new(Tokens {
        client: context.client.clone(),
        secrets: secrets.store(),
        accounts: accounts.store(),
        material: context.material.clone(),
    });
    let workers = context
        .options
        .workers
        .concurrent_serviceaccount_token_syncs;
    context.work(
        ("service account tokens", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let tokens = tokens.clone();
            async move { tokens.sync(&key).await }
        },
    );
}

/// The account that a secret has a token of; nothing if it has none.
fn account_of(secret: &Secret) -> Option<&str> {
    let is_token = secret.type_.as_deref() == Some(TYPE);
    annotation(secret, ACCOUNT).filter(|name| is_token && !name.is_empty())
}

fn annotation<'a>(secret: &'a Secret, name: &str) -> Option<&'a str> {
    let annotations = secret.metadata.annotations.as_ref()?;
    annotations.get(name).map(String::as_str)
}

struct Tokens {
    client: Client,
    secrets: Store<Secret>,
    accounts: Store<ServiceAccount>,
    material: Arc<Material>,
}

/// What to do about a secret.
#[derive(Debug, PartialEq)]
enum Action {
    Nothing,
    /// It belongs to an account that is not there.
    Delete,
    /// A merge patch.
    Fill(Value),
}

impl Tokens {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(secret) = self.secrets.get(key) else {
            return Ok(Next::Done);
        };
        let Some(name) = account_of(&secret) else {
            return Ok(Next::Done);
        };
        let account = Key::new(&*key.namespace, name);
        let account = self.account(&account, &secret).await?;
        match decide(&secret, account.as_deref(), &self.material)? {
            Action::Nothing => {}
            Action::Delete => {
                let uid = secret.metadata.uid.clone().unwrap_or_default();
                let options = DeleteOptions::of_uid(uid);
                let deleted = self.client.delete::<Secret>(key, &options);
                match deleted.await {
                    Err(error) if !error.is_not_found() && !error.is_conflict() => {
                        return Err(error.into());
                    }
                    _ => {}
                }
            }
            Action::Fill(patch) => {
                let patch = Patch::Merge(patch);
                let written = self.client.patch::<Secret>(key, &patch);
                match written.await {
                    // It has changed, and will be told of again.
                    Err(error) if error.is_conflict() || error.is_not_found() => {}
                    Err(error) => return Err(error.into()),
                    Ok(_) => {}
                }
            }
        }
        Ok(Next::Done)
    }

    /// The account, as it is known or, if it is not the one that the secret means, as the server has it: it may have been made anew.
    async fn account(&self, key: &Key, secret: &Secret) -> Result<Option<Arc<ServiceAccount>>> {
        let known = self.accounts.get(key);
        if let Some(known) = known.filter(|known| is_meant(secret, known)) {
            return Ok(Some(known));
        }
        match self.client.get(key).await {
            Err(error) if error.is_not_found() => Ok(None),
            found => Ok(Some(Arc::new(found?))),
        }
    }
}

/// Whether an account is the one that a secret was made for, and not another of its name.
fn is_meant(secret: &Secret, account: &ServiceAccount) -> bool {
    let uid = annotation(secret, ACCOUNT_UID).filter(|uid| !uid.is_empty());
    uid.is_none_or(|uid| account.metadata.uid.as_deref() == Some(uid))
}

fn decide(
    secret: &Secret,
    account: Option<&ServiceAccount>,
    material: &Material,
) -> Result<Action> {
    let metadata = &secret.metadata;
    let Some(account) = account.filter(|account| is_meant(secret, account)) else {
        return Ok(Action::Delete);
    };
    let data = secret.data.as_ref();
    let has = |field: &str| data.and_then(|data| data.get(field)).map(|bytes| &*bytes.0);
    let is_empty = |field: &str| has(field).is_none_or(<[u8]>::is_empty);
    let mut fields = serde_json::Map::new();
    let mut set = |field: &str, bytes: &[u8]| {
        fields.insert(field.to_owned(), json!(BASE64_STANDARD.encode(bytes)));
    };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    if let Some(authority) = &material.root_ca
        && has("ca.crt") != Some(authority.as_bytes())
    {
        set("ca.crt", authority.as_bytes());
    }
    if is_empty("namespace") {
        set("namespace", namespace.as_bytes());
    }
    let name = account.metadata.name.as_deref().unwrap_or_default();
    let uid = account.metadata.uid.clone().unwrap_or_default();
    if is_empty("token") {
        let key = material.token_key.as_ref();
        let key = key.ok_or_else(|| anyhow!("there is no key to sign tokens with"))?;
        let subject = Subject {
            namespace,
            account: name,
            account_uid: &uid,
            secret: metadata.name.as_deref().unwrap_or_default(),
        };
        let token = token(key, subject).map_err(|fault| anyhow!(fault))?;
        set("token", token.as_bytes());
    }
    if fields.is_empty() {
        return Ok(Action::Nothing);
    }
    let annotations = json!({ACCOUNT: name, ACCOUNT_UID: uid});
    let patch = json!({"metadata": {"annotations": annotations}, "data": fields});
    Ok(Action::Fill(patches::when_unchanged(metadata, patch)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing_key::SigningKey;

    fn material() -> Material {
        let pair = rcgen::KeyPair::generate().unwrap();
        Material {
            root_ca: Some("ca".to_owned()),
            token_key: Some(SigningKey::parse(pair.serialize_pem().as_bytes()).unwrap()),
            ..Material::default()
        }
    }

    fn secret(value: &Value) -> Secret {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn a_secret_is_filled_once_and_goes_with_its_account() {
        let account: ServiceAccount =
            serde_json::from_value(json!({"metadata": {"name": "a", "uid": "u"}})).unwrap();
        let mut value = json!({
            "type": TYPE,
            "metadata": {"name": "s", "namespace": "n", "uid": "su", "resourceVersion": "7", "annotations": {ACCOUNT: "a"}},
        });
        let material = material();
        let action = decide(&secret(&value), Some(&account), &material).unwrap();
        let Action::Fill(patch) = action else {
            panic!("{action:?}");
        };
        assert_eq!(patch["metadata"]["annotations"][ACCOUNT_UID], "u");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["data"]["namespace"], BASE64_STANDARD.encode("n"));
        assert_eq!(patch["data"]["ca.crt"], BASE64_STANDARD.encode("ca"));
        value["data"] = patch["data"].clone();
        value["metadata"]["annotations"] = patch["metadata"]["annotations"].clone();
        let filled = secret(&value);
        let decided = |account| decide(&filled, account, &material).unwrap();
        assert_eq!(decided(Some(&account)), Action::Nothing);
        assert_eq!(decided(None), Action::Delete);
        let mut other = account.clone();
        other.metadata.uid = Some("v".to_owned());
        assert_eq!(decided(Some(&other)), Action::Delete);
    }

    #[test]
    fn an_account_that_was_made_anew_is_not_taken_for_the_old_one() {
        let account = |uid: &str| -> ServiceAccount {
            serde_json::from_value(json!({"metadata": {"name": "a", "uid": uid}})).unwrap()
        };
        let of = |uid: Value| secret(&json!({"metadata": {"annotations": {ACCOUNT_UID: uid}}}));
        for (named, cached, expected) in [
            ("new", "old", false),
            ("new", "new", true),
            ("", "old", true),
        ] {
            let found = is_meant(&of(json!(named)), &account(cached));
            assert_eq!(found, expected, "{named:?} {cached}");
        }
        assert!(is_meant(&secret(&json!({})), &account("old")));
    }

    #[test]
    fn only_secrets_of_the_type_with_an_account_hold_tokens() {
        for (kind, account, expected) in [
            (TYPE, "a", Some("a")),
            (TYPE, "", None),
            ("Opaque", "a", None),
        ] {
            let value = json!({"type": kind, "metadata": {"annotations": {ACCOUNT: account}}});
            assert_eq!(account_of(&secret(&value)), expected);
        }
    }
}
