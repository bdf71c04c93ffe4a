//! Calls about objects of a resource that is known by its names.

use proto::api;
use proto::api::write::Write as Told;
use serde_json::Value;

use crate::client::Client;
use crate::error::Error;
use crate::kind::{Key, Resource};
use crate::object::DynamicObject;
use crate::request::{DeleteOptions, Listed, Patch, Query, Question, decoded, encoded_value};

/// One resource, or a subresource of its objects.
#[derive(Clone)]
pub struct Dynamic {
    client: Client,
    resource: Resource,
    subresource: String,
}

impl Dynamic {
    pub(crate) fn new(client: Client, resource: Resource) -> Dynamic {
        Dynamic {
            client,
            resource,
            subresource: String::new(),
        }
    }

    /// The same calls about a subresource: `status`, `scale`, `finalize`, `approval`.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Dynamic {
        Dynamic {
            subresource: name.to_owned(),
            ..self.clone()
        }
    }

    fn target(&self, key: &Key) -> api::Target {
        self.resource.target(key, &self.subresource)
    }

    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn get(&self, key: &Key) -> Result<Value, Error> {
        decoded(&self.client.get_raw(self.target(key)).await?)
    }

    /// # Errors
    ///
    /// As [`Client::list`].
    pub async fn list(&self, query: &Query) -> Result<Listed<DynamicObject>, Error> {
        let decode = |object: &[u8]| DynamicObject::decode(object);
        self.client.list_raw(&self.resource, query, decode).await
    }

    /// What another server tells, whose API an `APIService` names. A key without a name asks for many.
    ///
    /// # Errors
    ///
    /// As [`Client::get`]; what is not found may be an API that nobody answers.
    pub async fn read(&self, key: &Key, question: &Question) -> Result<Value, Error> {
        let parameters = question.parameters.iter();
        let message = api::ReadRequest {
            target: Some(self.target(key)),
            label_selector: question.labels.clone(),
            parameters: parameters
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        };
        decoded(&self.client.read_raw(message).await?)
    }

    /// Makes an object, or posts to a subresource of the object with this key. The key's name is otherwise not looked at.
    ///
    /// # Errors
    ///
    /// As [`Client::create`].
    pub async fn create(&self, key: &Key, object: &Value) -> Result<Value, Error> {
        let told = api::CreateRequest {
            target: Some(self.target(key)),
            object: encoded_value(object),
            options: self.client.options(),
        };
        decoded(&self.client.write(Told::Create(told)).await?.object)
    }

    /// Replaces a whole object. It must have all the fields that the object shall keep.
    ///
    /// # Errors
    ///
    /// As [`Client::patch`].
    pub async fn update(&self, key: &Key, object: &Value) -> Result<Value, Error> {
        let told = api::UpdateRequest {
            target: Some(self.target(key)),
            object: encoded_value(object),
            options: self.client.options(),
        };
        decoded(&self.client.write(Told::Update(told)).await?.object)
    }

    /// # Errors
    ///
    /// As [`Client::patch`].
    pub async fn patch(&self, key: &Key, patch: &Patch) -> Result<Value, Error> {
        let told = patch.write(self.target(key), self.client.manager());
        decoded(&self.client.write(told).await?.object)
    }

    /// Tells whether the object is gone. If not, it waits for its grace period or its finalizers.
    ///
    /// # Errors
    ///
    /// As [`Client::delete`].
    pub async fn delete(&self, key: &Key, options: &DeleteOptions) -> Result<bool, Error> {
        Ok(self
            .client
            .delete_raw(self.target(key), options)
            .await?
            .gone)
    }

    /// Deletes what a list would show, and tells how many deletions were begun.
    ///
    /// # Errors
    ///
    /// As [`Client::delete`].
    pub async fn delete_all(&self, query: &Query, options: &DeleteOptions) -> Result<i64, Error> {
        let message = api::DeleteCollectionRequest {
            target: Some(self.target(&Key::new(&*query.namespace, ""))),
            label_selector: query.labels.clone(),
            field_selector: query.fields.clone(),
            options: Some(options.told()),
        };
        Ok(self.client.delete_collection_raw(message).await?.count)
    }
}
