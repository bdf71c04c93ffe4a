//! Making objects.

use objects::invalid::Invalid;
use objects::path::Path;
use objects::status::{Reason, Status};
use objects::{Value, defaults, meta};

use serde_json::json;

use super::read::not_read_yet;
use super::store::{encode, stamp};
use super::update::Owners;
use super::{Registry, Request, WriteOptions, as_served, fields, is_stored_as_served, rules};
use crate::admission::{Operation, Review};
use crate::clock;
use crate::storage::Written;
use crate::user::APISERVER;

/// How often a made-up name is made up again when it is taken.
const NAMES_MAX: usize = 8;
/// Letters of made-up names: without vowels, and without what looks like another one.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LETTERS: usize = 5;
/// A made-up name is at most a DNS label.
const BASE_LETTERS_MAX: usize = 63 - SUFFIX_LETTERS;

impl Registry {
    /// Makes an object.
    pub async fn create(
        &self,
        request: &Request,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        self.create_as(request, object, options, Owners::Noted)
            .await
    }

    /// Makes the object of an applied configuration, which says already who owns what.
    pub(super) async fn create_applied(
        &self,
        request: &Request,
        object: Value,
        options: &WriteOptions,
    ) -> Result<Value, Status> {
        self.create_as(request, object, options, Owners::Applied)
            .await
    }

    async fn create_as(
        &self,
        request: &Request,
        object: Value,
        options: &WriteOptions,
        owners: Owners,
    ) -> Result<Value, Status> {
        if !request.served.is_stored() {
            return Err(Status::new(
                Reason::MethodNotAllowed,
                "the server does not allow this method on the requested resource",
            ));
        }
        if request.served.is_terminating() {
            let resource = &request.served.resource;
            return Err(Status::forbidden(
                &resource.group,
                &resource.plural,
                meta::name(&object),
                "create not allowed while custom resource definition is terminating",
            ));
        }
        self.ready_to_judge(request)?;
        if !meta::name(&object).is_empty() {
            return self.create_once(request, object, options, owners).await;
        }
        let mut name_tries = 0;
        loop {
            let result = self
                .create_once(request, object.clone(), options, owners)
                .await;
            match result {
                Err(status) if status.reason == Reason::AlreadyExists => {
                    name_tries += 1;
                    if name_tries == NAMES_MAX {
                        return Err(status);
                    }
                }
                other => return other,
            }
        }
    }

    /// Admission reads what is in memory, so nothing is made for others before that is there.
    fn ready_to_judge(&self, request: &Request) -> Result<(), Status> {
        if self.feed.position().get() > 0 || request.user.name == APISERVER {
            return Ok(());
        }
        Err(not_read_yet())
    }

    async fn create_once(
        &self,
        request: &Request,
        mut object: Value,
        options: &WriteOptions,
        owners: Owners,
    ) -> Result<Value, Status> {
        let served = &request.served;
        check_place(request, &mut object)?;
        rules::apply_defaults(served, &mut object);
        let made_up = name_and_stamp(request, &mut object)?;
        let attributes = request.attributes("create");
        let given = options.to_value("CreateOptions");
        let review = Review {
            operation: Operation::Create,
            attributes: &attributes,
            served,
            old: None,
            options: &given,
            dry_run: options.dry_run,
            warnings: &request.warnings,
        };
        // What admission changes is nobody's: it is noted who owns what before.
        if owners == Owners::Noted {
            fields::note(request, options, None, &mut object);
        }
        let mut under_review = Some(object);
        self.admission.mutate(&review, &mut under_review).await?;
        let mut object = under_review.unwrap_or(Value::Null);
        // Whoever changed it had no say in where it goes.
        check_place(request, &mut object)?;
        defaults::complete(&mut object);
        let mut object = rules::to_working(served, object);
        stamp_requester(request, &mut object);
        rules::prepare_create(served, &mut object);
        let claims = self
            .claim(request, &mut object, None, options.dry_run)
            .await?;
        if let Err(refused) = self.judge_new(&review, request, &object).await {
            self.release(&claims).await;
            return Err(refused.before_any_write());
        }
        let made = self
            .store_new(request, object, options.dry_run, made_up)
            .await;
        if let Err(status) = &made {
            self.release_after(&claims, status).await;
        }
        made
    }

    async fn judge_new(
        &self,
        review: &Review<'_>,
        request: &Request,
        object: &Value,
    ) -> Result<(), Status> {
        let served = &request.served;
        let mut faults = rules::validate_create(served, object);
        self.check_privileged(request, object, &mut faults);
        if !faults.is_empty() {
            return Err(request.invalid(meta::name(object), &faults));
        }
        for warning in rules::warnings(served, object, None) {
            request.warnings.add(warning);
        }
        self.have_judged(review, object).await
    }

    /// Has admission judge an object in the version that it was sent in.
    pub(super) async fn have_judged(
        &self,
        review: &Review<'_>,
        stored: &Value,
    ) -> Result<(), Status> {
        if is_stored_as_served(review.served) {
            return self.admission.validate(review, Some(stored)).await;
        }
        let shown = as_served(review.served, stored.clone()).await?;
        self.admission.validate(review, Some(&shown)).await
    }

    async fn store_new(
        &self,
        request: &Request,
        object: Value,
        dry_run: bool,
        made_up: bool,
    ) -> Result<Value, Status> {
        let served = &request.served;
        let name = meta::name(&object).to_owned();
        let exists = || {
            let mut status =
                Status::already_exists(&served.resource.group, &served.resource.plural, &name);
            if made_up {
                status
                    .message
                    .push_str(", the server was not able to generate a unique name for the object");
            }
            status
        };
        let key = self.full_key(request, &name);
        if dry_run {
            return if self.storage.get(key.as_bytes()).await?.0.is_some() {
                Err(exists())
            } else {
                as_served(served, object).await
            };
        }
        // What was written is answered without asking a webhook, which could fail.
        let working = served.is_custom().then(|| object.clone());
        let mut stored = rules::to_stored(served, object).await?;
        let bytes = encode(&mut stored).into();
        match self
            .storage
            .create(key.as_bytes(), bytes, self.ttl_seconds(request))
            .await?
        {
            Written::At(revision) => {
                let mut made = working.unwrap_or(stored);
                stamp(&mut made, revision);
                as_served(served, made).await
            }
            Written::Changed(_) => Err(exists()),
        }
    }
}

/// Who asks for a certificate is written down by the server, and nobody says it of another.
fn stamp_requester(request: &Request, object: &mut Value) {
    let resource = &request.served.resource;
    if resource.kind != "CertificateSigningRequest" || resource.group != "certificates.k8s.io" {
        return;
    }
    let spec = meta::fields_mut(object, "spec");
    for field in ["username", "uid", "groups", "extra"] {
        spec.remove(field);
    }
    let user = &request.user;
    spec.insert("username".to_owned(), user.name.as_str().into());
    spec.insert("groups".to_owned(), user.groups.clone().into());
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
}

/// Namespace and name of an object are those of the request.
pub(super) fn check_place(request: &Request, object: &mut Value) -> Result<(), Status> {
    if request.served.resource.namespaced {
        let own = meta::namespace(object);
        if !own.is_empty() && own != request.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        meta::metadata_mut(object)
            .insert("namespace".to_owned(), request.namespace.as_str().into());
    } else if !meta::namespace(object).is_empty() {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// What the server writes into every new object. Tells whether it made up the name.
fn name_and_stamp(request: &Request, object: &mut Value) -> Result<bool, Status> {
    let base = meta::text(object, &["metadata", "generateName"]).to_owned();
    let made_up = meta::name(object).is_empty() && !base.is_empty();
    if meta::name(object).is_empty() && base.is_empty() {
        let path = Path::new("metadata.name");
        let fault = Invalid::required(&path, "name or generateName is required");
        return Err(request.invalid("", &vec![fault]));
    }
    if !meta::resource_version(object).is_empty() {
        return Err(Status::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    let metadata = meta::metadata_mut(object);
    if made_up {
        let end = base
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8())
            .take_while(|end| *end <= BASE_LETTERS_MAX)
            .last();
        metadata.insert(
            "name".to_owned(),
            format!("{}{}", &base[..end.unwrap_or(0)], suffix()).into(),
        );
    }
    metadata.insert("uid".to_owned(), uid().into());
    metadata.insert("creationTimestamp".to_owned(), clock::now().into());
    for field in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
    ] {
        metadata.remove(field);
    }
    Ok(made_up)
}

/// Random letters behind a made-up name.
pub(crate) fn suffix() -> String {
    let mut bytes = [0; SUFFIX_LETTERS];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

/// A random UUID.
pub fn uid() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    // Version 4, variant 1.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}
