//! The variables of admission, their types, and what its expressions must come to.

use std::{collections::BTreeMap, sync::Arc};

use super::{Environment, Program, types::Struct, types::Type};

/// What expressions of one place may read beside the request and its objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    pub params: bool,
    pub authorizer: bool,
    /// Whether patches may be made: `Object{}` and `JSONPatch{}`.
    pub patches: bool,
}

/// What an expression must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Anything,
    Bool,
    Text,
    TextOrNull,
    /// An applied configuration.
    Object,
    /// A list of steps of a JSON patch.
    Patches,
}

/// The type of steps of a JSON patch.
pub(super) const PATCH: &str = "JSONPatch";

/// The type of applied configurations; the types of their fields go on from it by dots.
pub(super) const OBJECT: &str = "Object";

/// The name of the variable that composed expressions are read from.
pub const VARIABLES: &str = "variables";

/// A field, and what makes its type.
type Field = (&'static str, fn() -> Type);

/// Groups of versions, and resources or kinds of them.
const GROUP_AND_VERSION: [Field; 2] = [("group", text), ("version", text)];

fn text() -> Type {
    Type::String
}

fn texts() -> Type {
    Type::list(Type::String)
}

fn labels() -> Type {
    Type::map(Type::String, Type::String)
}

fn time() -> Type {
    Type::Timestamp
}

fn number() -> Type {
    Type::Int
}

fn object(name: &str, fields: impl IntoIterator<Item = (&'static str, Type)>) -> Type {
    let fields = fields.into_iter();
    Type::Struct(Arc::new(Struct {
        name: name.to_owned(),
        fields: fields.map(|(name, of)| (name.to_owned(), of)).collect(),
    }))
}

fn made(fields: &[Field]) -> Vec<(&'static str, Type)> {
    fields.iter().map(|(name, of)| (*name, of())).collect()
}

fn group_and(name: &str, last: &'static str) -> Type {
    let mut fields = made(&GROUP_AND_VERSION);
    fields.push((last, Type::String));
    object(name, fields)
}

fn request() -> Type {
    let kind = group_and("kubernetes.GroupVersionKind", "kind");
    let resource = group_and("kubernetes.GroupVersionResource", "resource");
    let extra = Type::map(Type::String, texts());
    let mut user = made(&[("username", text), ("uid", text), ("groups", texts)]);
    user.push(("extra", extra));
    let mut fields = made(&[
        ("subResource", text),
        ("requestSubResource", text),
        ("name", text),
        ("namespace", text),
        ("operation", text),
    ]);
    fields.extend([
        ("kind", kind.clone()),
        ("requestKind", kind),
        ("resource", resource.clone()),
        ("requestResource", resource),
        ("userInfo", object("kubernetes.UserInfo", user)),
        ("dryRun", Type::Bool),
        ("options", Type::Dyn),
    ]);
    object("kubernetes.AdmissionRequest", fields)
}

fn namespace() -> Type {
    let spec = object("kubernetes.NamespaceSpec", made(&[("finalizers", texts)]));
    let condition = made(&[
        ("status", text),
        ("type", text),
        ("lastTransitionTime", time),
        ("message", text),
        ("reason", text),
    ]);
    let condition = object("kubernetes.NamespaceCondition", condition);
    let status = [
        ("conditions", Type::list(condition)),
        ("phase", Type::String),
    ];
    let metadata = made(&[
        ("name", text),
        ("generateName", text),
        ("namespace", text),
        ("labels", labels),
        ("annotations", labels),
        ("UID", text),
        ("creationTimestamp", time),
        ("deletionGracePeriodSeconds", number),
        ("deletionTimestamp", time),
        ("generation", number),
        ("resourceVersion", text),
        ("finalizers", texts),
    ]);
    object(
        "kubernetes.Namespace",
        [
            ("metadata", object("kubernetes.NamespaceMetadata", metadata)),
            ("spec", spec),
            ("status", object("kubernetes.NamespaceStatus", status)),
        ],
    )
}

fn opaque(name: &str) -> Type {
    Type::Opaque(name.into(), [].into())
}

impl Environment {
    /// The variables of a place of admission.
    #[must_use]
    pub fn admission(scope: Scope) -> Environment {
        let mut variables = vec![
            ("object", Type::Dyn),
            ("oldObject", Type::Dyn),
            ("namespaceObject", namespace()),
            ("request", request()),
        ];
        if scope.params {
            variables.push(("params", Type::Dyn));
        }
        if scope.authorizer {
            let check = opaque("kubernetes.authorization.ResourceCheck");
            variables.push(("authorizer", opaque("kubernetes.authorization.Authorizer")));
            variables.push(("authorizer.requestResource", check));
        }
        let variables = variables.into_iter();
        Environment {
            variables: variables.map(|(name, of)| (name.to_owned(), of)).collect(),
            patches: scope.patches,
        }
    }

    /// The same with composed variables of these types.
    #[must_use]
    pub fn with_composed(mut self, types: &BTreeMap<String, Type>) -> Environment {
        let of = Type::Struct(Arc::new(Struct {
            name: "kubernetes.variables".to_owned(),
            fields: types.clone(),
        }));
        self.variables.insert(VARIABLES.to_owned(), of);
        self
    }
}

/// The type that others see of a composed variable: what is neither simple, a list nor a map is not checked.
#[must_use]
pub fn composed_type(of: &Type) -> Type {
    match of {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => of.clone(),
        Type::List(items) => Type::list(composed_type(items)),
        Type::Map(keys, values) => Type::map(composed_type(keys), composed_type(values)),
        _ => Type::Dyn,
    }
}

impl Returns {
    fn types(self) -> Vec<Type> {
        match self {
            Returns::Anything => Vec::new(),
            Returns::Bool => vec![Type::Bool],
            Returns::Text => vec![Type::String],
            Returns::TextOrNull => vec![Type::String, Type::Null],
            Returns::Object => vec![object(OBJECT, [])],
            Returns::Patches => vec![Type::list(object(PATCH, []))],
        }
    }
}

/// Whether a type can be made by expressions that make patches.
pub(super) fn is_made(name: &str) -> bool {
    name == PATCH || name == OBJECT || name.starts_with("Object.")
}

/// The type of such a name, whose fields are not declared.
pub(super) fn made_type(name: &str) -> Type {
    object(name, [])
}

/// The name of a type as Go's printer shows it.
fn shown(of: &Type) -> String {
    let name = match of {
        Type::Null => "null_type",
        Type::Timestamp => "google.protobuf.Timestamp",
        Type::Duration => "google.protobuf.Duration",
        Type::List(items) => return format!("list({})", shown(items)),
        Type::Map(keys, values) => return format!("map({}, {})", shown(keys), shown(values)),
        other => return other.to_string(),
    };
    name.to_owned()
}

/// Compiles an expression of admission.
///
/// # Errors
///
/// In upstream's words.
pub fn compile(
    source: &str,
    environment: &Environment,
    returns: Returns,
) -> Result<Program, String> {
    let program = Program::compile(source, environment)
        .map_err(|error| format!("compilation failed: {error}"))?;
    let wanted = returns.types();
    if !wanted.is_empty() && !wanted.contains(program.output()) {
        let names: Vec<String> = wanted.iter().map(shown).collect();
        let wanted = match names.as_slice() {
            [only] => only.clone(),
            _ => format!("one of [{}]", names.join(" ")),
        };
        let found = shown(program.output());
        return Err(format!("must evaluate to {wanted} but got {found}"));
    }
    match program.constant_failure() {
        Some(failure) => Err(format!("program instantiation failed: {failure}")),
        None => Ok(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(source: &str, scope: Scope, returns: Returns) -> String {
        match compile(source, &Environment::admission(scope), returns) {
            Ok(program) => shown(program.output()),
            Err(why) => why,
        }
    }

    #[test]
    fn expressions_must_come_to_what_is_asked_of_them() {
        let all = Scope {
            params: true,
            authorizer: true,
            patches: true,
        };
        for (source, returns, expected) in [
            ("object.spec.x > 1", Returns::Bool, "bool"),
            (
                "object.x",
                Returns::Bool,
                "must evaluate to bool but got dyn",
            ),
            (
                "request.dryRun",
                Returns::TextOrNull,
                "must evaluate to one of [string null_type] but got bool",
            ),
            (
                "authorizer.requestResource.check('get').allowed() && request.namespace == 'a'",
                Returns::Bool,
                "bool",
            ),
            ("Object{spec: Object.spec{a: 1}}", Returns::Object, "Object"),
            (
                "[JSONPatch{op: 'add', path: '/' + jsonpatch.escapeKey('a/b'), value: 1}]",
                Returns::Patches,
                "list(JSONPatch)",
            ),
            (
                "[1]",
                Returns::Patches,
                "must evaluate to list(JSONPatch) but got list(int)",
            ),
        ] {
            assert_eq!(compiled(source, all, returns), expected, "{source}");
        }
        let why = compiled("params.x == 1", Scope::default(), Returns::Bool);
        assert!(why.contains("undeclared reference to 'params' (in container '')"));
    }
}
