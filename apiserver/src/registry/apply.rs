//! Server-side apply: a client says what it wants of an object, and the server merges it with what others want.

use objects::codec::yaml;
use objects::invalid::Invalid;
use objects::path::Path;
use objects::status::Status;
use objects::{Value, meta};

use super::update::is_lost_race;
use super::{Registry, Request, WriteOptions, fields};

/// How often a configuration is applied to an object that somebody else makes or deletes meanwhile.
const RACES_MAX: usize = 5;

/// Reads an object as if it had been sent whole.
pub type Decode<'a> = dyn Fn(Value) -> Result<Value, Status> + Send + Sync + 'a;

impl Registry {
    /// Applies a configuration, in YAML or JSON, and reads the result as a body of the kind. Tells whether it made the object.
    pub async fn apply(
        &self,
        request: &Request,
        body: &[u8],
        decode: &Decode<'_>,
        options: &WriteOptions,
    ) -> Result<(Value, bool), Status> {
        let configuration = read(request, body, options)?;
        if request.subresource == "scale" {
            let scale = self.apply_scale(request, &configuration, options).await?;
            return Ok((scale, false));
        }
        let application = Application {
            configuration: &configuration,
            decode,
            options,
        };
        // A version means one object that is there.
        let may_make =
            request.subresource.is_empty() && meta::resource_version(&configuration).is_empty();
        let mut lost = request.not_found();
        for attempt in 0..RACES_MAX {
            let may_glance = attempt == 0;
            match self.try_apply(request, &application, may_glance).await {
                Err(status) if may_make && is_lost_race(request, &status) => lost = status,
                done => return done,
            }
        }
        Err(lost)
    }

    /// Changes the object that is there, or makes it. What is in memory may be gone by now, so only the first try begins with that.
    async fn try_apply(
        &self,
        request: &Request,
        application: &Application<'_>,
        may_glance: bool,
    ) -> Result<(Value, bool), Status> {
        let Application {
            configuration,
            decode,
            options,
        } = *application;
        let applied = |live: Option<&Value>| {
            fields::applied(request, options, live, configuration).and_then(decode)
        };
        let changing = |live: &Value| applied(Some(live));
        let exists = (may_glance && self.glance(request, &request.name).is_some())
            || self.load(request, &request.name).await?.is_some();
        if exists || !request.subresource.is_empty() {
            let changed = self.patch_applied(request, &changing, options).await?;
            return Ok((changed, false));
        }
        if !meta::resource_version(configuration).is_empty() {
            return Err(request.not_found());
        }
        self.authorize(request, "create")?;
        let object = applied(None)?;
        Ok((self.create_applied(request, object, options).await?, true))
    }
}

/// What is applied, and how.
struct Application<'a> {
    configuration: &'a Value,
    decode: &'a Decode<'a>,
    options: &'a WriteOptions,
}

fn read(request: &Request, body: &[u8], options: &WriteOptions) -> Result<Value, Status> {
    let mut faults = Vec::new();
    if options.field_manager.is_empty() {
        faults.push(Invalid::required(
            &Path::new("fieldManager"),
            "is required for apply patch",
        ));
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &faults));
    }
    let read = yaml::read(body)
        .map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))?;
    let mut object = read.value;
    if !object.is_object() {
        return Err(Status::bad_request(
            "error decoding YAML: the configuration is no object",
        ));
    }
    if object["metadata"]
        .get("managedFields")
        .is_some_and(|fields| !fields.is_null())
    {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let name = meta::name(&object);
    if !name.is_empty() && name != request.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            request.name
        )));
    }
    let metadata = meta::metadata_mut(&mut object);
    metadata.insert("name".to_owned(), request.name.as_str().into());
    if request.served.resource.namespaced {
        metadata.insert("namespace".to_owned(), request.namespace.as_str().into());
    }
    Ok(object)
}
