//! Who manages which fields of an object: kept with every write.

use objects::Value;
use objects::status::Status;

use super::{Request, WriteOptions};

/// Who writes, and how: what `managedFields` will say of it.
#[derive(Debug, Clone)]
pub struct FieldManager {
    pub name: String,
    /// `Update` or `Apply`.
    pub operation: &'static str,
}

impl FieldManager {
    /// The manager that a request names, or the program that sent it.
    #[must_use]
    pub fn of(request: &Request, options: &WriteOptions) -> FieldManager {
        let name = if options.field_manager.is_empty() {
            &request.agent
        } else {
            &options.field_manager
        };
        FieldManager {
            name: name.clone(),
            operation: "Update",
        }
    }

    /// Notes in `new` what this writer changed.
    ///
    /// # Errors
    ///
    /// If the object says of its managed fields what cannot be read.
    pub fn note(
        &self,
        _request: &Request,
        _old: Option<&Value>,
        _new: &mut Value,
    ) -> Result<(), Status> {
        Ok(())
    }
}
