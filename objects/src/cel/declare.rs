//! The functions of the language and of Kubernetes' libraries: their overloads, as a table of signatures.

use std::{collections::HashMap, sync::LazyLock};

use super::types::Type;

/// One way to call a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) id: String,
    /// Called on its first parameter.
    pub(super) member: bool,
    pub(super) params: Vec<Type>,
    pub(super) result: Type,
}

/// All functions by their names.
static FUNCTIONS: LazyLock<HashMap<String, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: HashMap<String, Vec<Overload>> = HashMap::new();
    let mut add = |line: &str| {
        let (name, overload) = signature(line).expect("the table's lines are signatures");
        functions.entry(name).or_default().push(overload);
    };
    TABLE
        .lines()
        .filter(|line| !line.is_empty())
        .for_each(&mut add);
    for (name, id) in ORDER {
        for (first, second, suffix) in ORDERED {
            add(&format!("{id}_{suffix}: {name}({first}, {second}) bool"));
        }
    }
    for kind in COMPARABLE {
        add(&format!(
            "list_{kind}_is_sorted_bool: .isSorted(list({kind})) bool"
        ));
        add(&format!(
            "list_{kind}_max_{kind}: .max(list({kind})) {kind}"
        ));
        add(&format!(
            "list_{kind}_min_{kind}: .min(list({kind})) {kind}"
        ));
        add(&format!(
            "list_{kind}_sort: .sort(list({kind})) list({kind})"
        ));
        add(&format!(
            "list_{kind}_sortByAssociatedKeys: .@sortByAssociatedKeys(list(T), list({kind})) list(T)"
        ));
    }
    for kind in ["int", "uint", "double", "duration"] {
        add(&format!(
            "list_{kind}_sum_{kind}: .sum(list({kind})) {kind}"
        ));
    }
    for name in FORMATS {
        add(&format!(
            "format.{name}: format.{name}() kubernetes.NamedFormat"
        ));
    }
    functions
});

/// The names that `format.…()` and `format.named` know.
pub(super) const FORMATS: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

const ORDER: [(&str, &str); 4] = [
    ("_<_", "less"),
    ("_<=_", "less_equals"),
    ("_>_", "greater"),
    ("_>=_", "greater_equals"),
];

/// What can be compared with what, and what its overloads are called.
const ORDERED: [(&str, &str, &str); 14] = [
    ("bool", "bool", "bool"),
    ("int", "int", "int64"),
    ("int", "double", "int64_double"),
    ("int", "uint", "int64_uint64"),
    ("uint", "uint", "uint64"),
    ("uint", "double", "uint64_double"),
    ("uint", "int", "uint64_int64"),
    ("double", "double", "double"),
    ("double", "int", "double_int64"),
    ("double", "uint", "double_uint64"),
    ("string", "string", "string"),
    ("bytes", "bytes", "bytes"),
    ("timestamp", "timestamp", "timestamp"),
    ("duration", "duration", "duration"),
];

const COMPARABLE: [&str; 8] = [
    "int",
    "uint",
    "double",
    "bool",
    "duration",
    "timestamp",
    "string",
    "bytes",
];

/// The overloads of a function; none, and there is no such function.
pub(super) fn overloads(function: &str) -> Option<&'static [Overload]> {
    FUNCTIONS.get(function).map(Vec::as_slice)
}

/// The type that an identifier names, if it names one.
pub(super) fn named_type(name: &str) -> Option<Type> {
    let dynamic = || Type::Dyn;
    Some(match name {
        "list" => Type::list(dynamic()),
        "map" => Type::map(dynamic(), dynamic()),
        "null_type" => Type::Null,
        "optional_type" => Type::optional(dynamic()),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "type" => Type::Type(None),
        "bool"
        | "bytes"
        | "double"
        | "int"
        | "string"
        | "uint"
        | "net.IP"
        | "net.CIDR"
        | "kubernetes.URL"
        | "kubernetes.Quantity"
        | "kubernetes.NamedFormat"
        | "kubernetes.Semver" => parse_type(name)?.0,
        _ => return None,
    })
}

/// `id: name(params) result`; a dot before the name says that it is called on its first parameter.
fn signature(line: &str) -> Option<(String, Overload)> {
    let (id, rest) = line.split_once(": ")?;
    let member = rest.starts_with('.');
    let (name, mut rest) = rest[usize::from(member)..].split_once('(')?;
    let mut params = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            rest = after;
            break;
        }
        let (param, after) = parse_type(rest)?;
        params.push(param);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    let (result, _) = parse_type(rest.trim_start())?;
    let overload = Overload {
        id: id.to_owned(),
        member,
        params,
        result,
    };
    Some((name.to_owned(), overload))
}

/// A type at the beginning of a text, and what follows it.
fn parse_type(text: &str) -> Option<(Type, &str)> {
    let end = text.find([',', '(', ')', ' ']).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut parts = Vec::new();
    if let Some(inner) = rest
        .strip_prefix('(')
        .filter(|_| matches!(name, "list" | "map" | "optional_type" | "type"))
    {
        rest = inner;
        while !rest.starts_with(')') {
            let (part, after) = parse_type(rest)?;
            parts.push(part);
            rest = after.strip_prefix(", ").unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let mut parts = parts.into_iter();
    let of = match name {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "list" => Type::list(parts.next()?),
        "map" => Type::map(parts.next()?, parts.next()?),
        "optional_type" => Type::optional(parts.next()?),
        "type" => Type::Type(Some(parts.next()?.into())),
        _ if name.len() == 1 => Type::Param(name.into()),
        _ => Type::Opaque(name.into(), [].into()),
    };
    Some((of, rest))
}

const TABLE: &str = "\
conditional: _?_:_(bool, A, A) A
logical_and: _&&_(bool, bool) bool
logical_or: _||_(bool, bool) bool
logical_not: !_(bool) bool
not_strictly_false: @not_strictly_false(bool) bool
equals: _==_(A, A) bool
not_equals: _!=_(A, A) bool
add_bytes: _+_(bytes, bytes) bytes
add_double: _+_(double, double) double
add_duration_duration: _+_(duration, duration) duration
add_duration_timestamp: _+_(duration, timestamp) timestamp
add_timestamp_duration: _+_(timestamp, duration) timestamp
add_int64: _+_(int, int) int
add_list: _+_(list(A), list(A)) list(A)
add_string: _+_(string, string) string
add_uint64: _+_(uint, uint) uint
divide_double: _/_(double, double) double
divide_int64: _/_(int, int) int
divide_uint64: _/_(uint, uint) uint
modulo_int64: _%_(int, int) int
modulo_uint64: _%_(uint, uint) uint
multiply_double: _*_(double, double) double
multiply_int64: _*_(int, int) int
multiply_uint64: _*_(uint, uint) uint
negate_double: -_(double) double
negate_int64: -_(int) int
subtract_double: _-_(double, double) double
subtract_duration_duration: _-_(duration, duration) duration
subtract_int64: _-_(int, int) int
subtract_timestamp_duration: _-_(timestamp, duration) timestamp
subtract_timestamp_timestamp: _-_(timestamp, timestamp) duration
subtract_uint64: _-_(uint, uint) uint
index_list: _[_](list(A), int) A
index_map: _[_](map(A, B), A) B
optional_list_index_int: _[_](optional_type(list(V)), int) optional_type(V)
optional_map_index_value: _[_](optional_type(map(K, V)), K) optional_type(V)
list_optindex_optional_int: _[?_](list(V), int) optional_type(V)
optional_list_optindex_optional_int: _[?_](optional_type(list(V)), int) optional_type(V)
map_optindex_optional_value: _[?_](map(K, V), K) optional_type(V)
optional_map_optindex_optional_value: _[?_](optional_type(map(K, V)), K) optional_type(V)
in_list: @in(A, list(A)) bool
in_map: @in(A, map(A, B)) bool
size_bytes: size(bytes) int
bytes_size: .size(bytes) int
size_list: size(list(A)) int
list_size: .size(list(A)) int
size_map: size(map(A, B)) int
map_size: .size(map(A, B)) int
size_string: size(string) int
string_size: .size(string) int
type: type(A) type(A)
bool_to_bool: bool(bool) bool
string_to_bool: bool(string) bool
bytes_to_bytes: bytes(bytes) bytes
string_to_bytes: bytes(string) bytes
double_to_double: double(double) double
int64_to_double: double(int) double
string_to_double: double(string) double
uint64_to_double: double(uint) double
duration_to_duration: duration(duration) duration
int64_to_duration: duration(int) duration
string_to_duration: duration(string) duration
to_dyn: dyn(A) dyn
int64_to_int64: int(int) int
double_to_int64: int(double) int
duration_to_int64: int(duration) int
string_to_int64: int(string) int
timestamp_to_int64: int(timestamp) int
uint64_to_int64: int(uint) int
string_to_string: string(string) string
bool_to_string: string(bool) string
bytes_to_string: string(bytes) string
double_to_string: string(double) string
duration_to_string: string(duration) string
int64_to_string: string(int) string
timestamp_to_string: string(timestamp) string
uint64_to_string: string(uint) string
ip_to_string: string(net.IP) string
cidr_to_string: string(net.CIDR) string
timestamp_to_timestamp: timestamp(timestamp) timestamp
int64_to_timestamp: timestamp(int) timestamp
string_to_timestamp: timestamp(string) timestamp
uint64_to_uint64: uint(uint) uint
double_to_uint64: uint(double) uint
int64_to_uint64: uint(int) uint
string_to_uint64: uint(string) uint
contains_string: .contains(string, string) bool
ends_with_string: .endsWith(string, string) bool
starts_with_string: .startsWith(string, string) bool
matches: matches(string, string) bool
matches_string: .matches(string, string) bool
timestamp_to_year: .getFullYear(timestamp) int
timestamp_to_year_with_tz: .getFullYear(timestamp, string) int
timestamp_to_month: .getMonth(timestamp) int
timestamp_to_month_with_tz: .getMonth(timestamp, string) int
timestamp_to_day_of_year: .getDayOfYear(timestamp) int
timestamp_to_day_of_year_with_tz: .getDayOfYear(timestamp, string) int
timestamp_to_day_of_month: .getDayOfMonth(timestamp) int
timestamp_to_day_of_month_with_tz: .getDayOfMonth(timestamp, string) int
timestamp_to_day_of_month_1_based: .getDate(timestamp) int
timestamp_to_day_of_month_1_based_with_tz: .getDate(timestamp, string) int
timestamp_to_day_of_week: .getDayOfWeek(timestamp) int
timestamp_to_day_of_week_with_tz: .getDayOfWeek(timestamp, string) int
timestamp_to_hours: .getHours(timestamp) int
timestamp_to_hours_with_tz: .getHours(timestamp, string) int
duration_to_hours: .getHours(duration) int
timestamp_to_minutes: .getMinutes(timestamp) int
timestamp_to_minutes_with_tz: .getMinutes(timestamp, string) int
duration_to_minutes: .getMinutes(duration) int
timestamp_to_seconds: .getSeconds(timestamp) int
timestamp_to_seconds_tz: .getSeconds(timestamp, string) int
duration_to_seconds: .getSeconds(duration) int
timestamp_to_milliseconds: .getMilliseconds(timestamp) int
timestamp_to_milliseconds_with_tz: .getMilliseconds(timestamp, string) int
duration_to_milliseconds: .getMilliseconds(duration) int
optional_of: optional.of(V) optional_type(V)
optional_ofNonZeroValue: optional.ofNonZeroValue(V) optional_type(V)
optional_none: optional.none() optional_type(V)
optional_value: .value(optional_type(V)) V
optional_hasValue: .hasValue(optional_type(V)) bool
optional_or_optional: .or(optional_type(V), optional_type(V)) optional_type(V)
optional_orValue_value: .orValue(optional_type(V), V) V
list_last: .last(list(V)) optional_type(V)
list_first: .first(list(V)) optional_type(V)
optional_unwrap: optional.unwrap(list(optional_type(V))) list(V)
optional_unwrapOpt: .unwrapOpt(list(optional_type(V))) list(V)
list_a_index_of_int: .indexOf(list(A), A) int
string_index_of_string: .indexOf(string, string) int
string_index_of_string_int: .indexOf(string, string, int) int
list_a_last_index_of_int: .lastIndexOf(list(A), A) int
string_last_index_of_string: .lastIndexOf(string, string) int
string_last_index_of_string_int: .lastIndexOf(string, string, int) int
string_char_at_int: .charAt(string, int) string
string_lower_ascii: .lowerAscii(string) string
string_upper_ascii: .upperAscii(string) string
string_replace_string_string: .replace(string, string, string) string
string_replace_string_string_int: .replace(string, string, string, int) string
string_split_string: .split(string, string) list(string)
string_split_string_int: .split(string, string, int) list(string)
string_substring_int: .substring(string, int) string
string_substring_int_int: .substring(string, int, int) string
string_trim: .trim(string) string
string_format: .format(string, list(dyn)) string
strings_quote: strings.quote(string) string
list_join: .join(list(string)) string
list_join_string: .join(list(string), string) string
list_slice: .slice(list(T), int, int) list(T)
list_flatten: .flatten(list(list(T))) list(T)
list_flatten_int: .flatten(list(dyn), int) list(dyn)
lists_range: lists.range(int) list(int)
list_reverse: .reverse(list(T)) list(T)
list_distinct: .distinct(list(T)) list(T)
list_sets_contains_list: sets.contains(list(T), list(T)) bool
list_sets_equivalent_list: sets.equivalent(list(T), list(T)) bool
list_sets_intersects_list: sets.intersects(list(T), list(T)) bool
@mapInsert_map_key_value: cel.@mapInsert(map(K, V), K, V) map(K, V)
@mapInsert_map_map: cel.@mapInsert(map(K, V), map(K, V)) map(K, V)
string_find_string: .find(string, string) string
string_find_all_string: .findAll(string, string) list(string)
string_find_all_string_int: .findAll(string, string, int) list(string)
string_to_url: url(string) kubernetes.URL
url_get_scheme: .getScheme(kubernetes.URL) string
url_get_host: .getHost(kubernetes.URL) string
url_get_hostname: .getHostname(kubernetes.URL) string
url_get_port: .getPort(kubernetes.URL) string
url_get_escaped_path: .getEscapedPath(kubernetes.URL) string
url_get_query: .getQuery(kubernetes.URL) map(string, list(string))
is_url_string: isURL(string) bool
string_to_quantity: quantity(string) kubernetes.Quantity
is_quantity_string: isQuantity(string) bool
quantity_sign: sign(kubernetes.Quantity) int
quantity_is_greater_than: .isGreaterThan(kubernetes.Quantity, kubernetes.Quantity) bool
quantity_is_less_than: .isLessThan(kubernetes.Quantity, kubernetes.Quantity) bool
quantity_compare_to: .compareTo(kubernetes.Quantity, kubernetes.Quantity) int
quantity_get_float: .asApproximateFloat(kubernetes.Quantity) double
quantity_get_int: .asInteger(kubernetes.Quantity) int
quantity_is_integer: .isInteger(kubernetes.Quantity) bool
quantity_add: .add(kubernetes.Quantity, kubernetes.Quantity) kubernetes.Quantity
quantity_add_int: .add(kubernetes.Quantity, int) kubernetes.Quantity
quantity_sub: .sub(kubernetes.Quantity, kubernetes.Quantity) kubernetes.Quantity
quantity_sub_int: .sub(kubernetes.Quantity, int) kubernetes.Quantity
string_to_semver: semver(string) kubernetes.Semver
string_bool_to_semver: semver(string, bool) kubernetes.Semver
is_semver_string: isSemver(string) bool
is_semver_string_bool: isSemver(string, bool) bool
semver_is_greater_than: .isGreaterThan(kubernetes.Semver, kubernetes.Semver) bool
semver_is_less_than: .isLessThan(kubernetes.Semver, kubernetes.Semver) bool
semver_compare_to: .compareTo(kubernetes.Semver, kubernetes.Semver) int
semver_major: .major(kubernetes.Semver) int
semver_minor: .minor(kubernetes.Semver) int
semver_patch: .patch(kubernetes.Semver) int
string_to_ip: ip(string) net.IP
cidr_ip: .ip(net.CIDR) net.IP
ip_family: .family(net.IP) int
ip_is_canonical: ip.isCanonical(string) bool
ip_is_unspecified: .isUnspecified(net.IP) bool
ip_is_loopback: .isLoopback(net.IP) bool
ip_is_link_local_multicast: .isLinkLocalMulticast(net.IP) bool
ip_is_link_local_unicast: .isLinkLocalUnicast(net.IP) bool
ip_is_global_unicast: .isGlobalUnicast(net.IP) bool
is_ip: isIP(string) bool
string_to_cidr: cidr(string) net.CIDR
cidr_contains_ip_string: .containsIP(net.CIDR, string) bool
cidr_contains_ip_ip: .containsIP(net.CIDR, net.IP) bool
cidr_contains_cidr_string: .containsCIDR(net.CIDR, string) bool
cidr_contains_cidr: .containsCIDR(net.CIDR, net.CIDR) bool
cidr_prefix_length: .prefixLength(net.CIDR) int
cidr_masked: .masked(net.CIDR) net.CIDR
is_cidr: isCIDR(string) bool
format-validate: .validate(kubernetes.NamedFormat, string) optional_type(list(string))
format-named: format.named(string) optional_type(kubernetes.NamedFormat)
string_jsonpatch_escapeKey_string: jsonpatch.escapeKey(string) string
authorizer_path: .path(kubernetes.authorization.Authorizer, string) kubernetes.authorization.PathCheck
authorizer_group: .group(kubernetes.authorization.Authorizer, string) kubernetes.authorization.GroupCheck
authorizer_serviceaccount: .serviceAccount(kubernetes.authorization.Authorizer, string, string) kubernetes.authorization.Authorizer
groupcheck_resource: .resource(kubernetes.authorization.GroupCheck, string) kubernetes.authorization.ResourceCheck
resourcecheck_subresource: .subresource(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.ResourceCheck
resourcecheck_namespace: .namespace(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.ResourceCheck
resourcecheck_name: .name(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.ResourceCheck
pathcheck_check: .check(kubernetes.authorization.PathCheck, string) kubernetes.authorization.Decision
resourcecheck_check: .check(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.Decision
authorizer_fieldselector: .fieldSelector(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.ResourceCheck
authorizer_labelselector: .labelSelector(kubernetes.authorization.ResourceCheck, string) kubernetes.authorization.ResourceCheck
decision_errored: .errored(kubernetes.authorization.Decision) bool
decision_error: .error(kubernetes.authorization.Decision) string
decision_allowed: .allowed(kubernetes.authorization.Decision) bool
decision_reason: .reason(kubernetes.authorization.Decision) string
";
