//! Looks at one object: asks the server about it and its owners, and does what follows.

use client::{DeleteOptions, Next, Propagation as Told};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::json;

use super::facts::{FOREGROUND, Facts, Identity};
use super::graph::View;
use super::verdict::{Propagation, Standing, Verdict, decide};
use super::{Collector, Fault, Found, key};

impl Collector {
    /// Sees to a node of the graph.
    pub(super) async fn check(&self, uid: &str) -> Result<Next, Fault> {
        let Some(view) = self.graph.lock().view(uid) else {
            return Ok(Next::Done);
        };
        // What is being deleted goes by itself.
        if view.is_deleting && !view.waits_for_dependents {
            return Ok(Next::Done);
        }
        let found = match self.find(&view.identity).await? {
            Found::Object(found) => found,
            Found::Nowhere => return Ok(Next::Done),
            Found::Nothing => {
                self.is_absent(&view.identity);
                return Ok(Next::Done);
            }
        };
        if view.waits_for_dependents {
            self.release(&found).await?;
        } else {
            self.judge(&found, &view).await?;
        }
        // An object that came and went while nobody looked would never be told of.
        if view.is_virtual {
            return Err(Fault::NotSeen(view.identity));
        }
        Ok(Next::Done)
    }

    fn is_absent(&self, identity: &Identity) {
        let effects = self.graph.lock().absent(identity);
        self.follow(effects);
    }

    /// Lets an object go if nothing holds it up any more, or else sees to what does.
    async fn release(&self, found: &Facts) -> Result<(), Fault> {
        let blocking = self.graph.lock().blocking(&found.identity.uid);
        if blocking.is_empty() {
            return self.remove_finalizer(found, FOREGROUND).await;
        }
        for (dependent, waits) in blocking {
            if !waits {
                self.checks.add(dependent);
            }
        }
        Ok(())
    }

    async fn judge(&self, found: &Facts, view: &View) -> Result<(), Fault> {
        let mut standings = Vec::with_capacity(found.owners.len());
        for owner in &found.owners {
            let Some(standing) = self.standing(owner, &found.identity).await? else {
                return Ok(());
            };
            standings.push(standing);
        }
        match decide(found, &standings, view) {
            Verdict::Keep => Ok(()),
            Verdict::SetOwners(owners) => {
                self.change(found, "ownerReferences", json!(owners)).await
            }
            Verdict::Delete(propagation, Some(owners)) => {
                self.change(found, "ownerReferences", json!(owners)).await?;
                self.delete(found, propagation).await
            }
            Verdict::Delete(propagation, None) => self.delete(found, propagation).await,
        }
    }

    /// How an owner stands; nothing if that can never be told.
    async fn standing(
        &self,
        owner: &OwnerReference,
        dependent: &Identity,
    ) -> Result<Option<Standing>, Fault> {
        let namespace = &dependent.namespace;
        if self.graph.lock().is_absent(owner, namespace) {
            return Ok(Some(Standing::Dangling));
        }
        let mut name = Identity::of_owner(owner, namespace);
        Ok(match self.find(&name).await? {
            Found::Nowhere => {
                tracing::debug!(%dependent, %name, "an object in no namespace names an owner in one");
                None
            }
            Found::Object(owner) if owner.waits_for_dependents() => Some(Standing::Waiting),
            Found::Object(_) => Some(Standing::Solid),
            Found::Nothing => {
                if !self.resource(&name)?.namespaced {
                    name.namespace = "".into();
                }
                self.graph.lock().remember_absent(name);
                Some(Standing::Dangling)
            }
        })
    }

    /// Deletes an object whose owners are as they were found.
    async fn delete(&self, found: &Facts, propagation: Propagation) -> Result<(), Fault> {
        let resource = self.resource(&found.identity)?;
        let key = key(&resource, &found.identity);
        let objects = self.client.dynamic(resource);
        let mut options = DeleteOptions {
            uid: found.identity.uid.to_string(),
            resource_version: found.resource_version.clone(),
            propagation: match propagation {
                Propagation::Orphan => Told::Orphan,
                Propagation::Background => Told::Background,
                Propagation::Foreground => Told::Foreground,
            },
            ..DeleteOptions::default()
        };
        tracing::debug!(item = %found.identity, ?propagation, "deleting an object without owners");
        let mut deleted = objects.delete(&key, &options).await;
        if let Err(error) = &deleted
            && error.is_conflict()
            && let Found::Object(now) = self.find(&found.identity).await?
            && now.owners == found.owners
        {
            // Somebody changes it all the time, but not in what it was judged by.
            options.resource_version.clear();
            deleted = objects.delete(&key, &options).await;
        }
        match deleted {
            Err(error) if error.is_object_not_found() => {
                self.is_absent(&found.identity);
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }
}
