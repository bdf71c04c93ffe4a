//! The tables of objects: cells and columns as a kube-apiserver 1.36.3 gave them for the same objects.

use objects::Value;
use objects::catalog::{Catalog, split_api_version};
use objects::table::{Include, Options, Printer, partial, partial_list};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Objects that are written here, with their rows as upstream showed them.
const CASES: [(&str, &str); 6] = [
    ("pods", include_str!("tables/pods.yaml")),
    ("workloads", include_str!("tables/workloads.yaml")),
    ("network", include_str!("tables/network.yaml")),
    ("cluster", include_str!("tables/cluster.yaml")),
    ("storage", include_str!("tables/storage.yaml")),
    ("access", include_str!("tables/access.yaml")),
];

/// Columns of a CRD, with the cells of an object that has what they ask for and of one that has not.
const CUSTOM: &str = include_str!("tables/custom.yaml");

/// Upstream's columns, a kind a line: `Name:type/format+priority`.
const COLUMNS: &str = include_str!("tables/columns.txt");

fn micros(time: &str) -> i64 {
    let time = OffsetDateTime::parse(time, &Rfc3339).expect("times are written here");
    i64::try_from(time.unix_timestamp_nanos() / 1000).expect("the years are of our time")
}

fn options(include: Include) -> Options {
    Options {
        include,
        headers: true,
        now_micros: micros("2026-11-27T08:00:00Z"),
    }
}

fn printer(object: &Value) -> Printer {
    let of = |field: &str| object[field].as_str().unwrap_or_default();
    let (group, _) = split_api_version(of("apiVersion"));
    Printer::builtin(group, of("kind"))
}

#[test]
fn the_cells_of_objects_are_those_of_upstream() {
    let mut count = 0;
    for (file, text) in CASES {
        let cases: Vec<Value> = serde_yaml_ng::from_str(text).unwrap();
        for case in cases {
            let mut object = case["object"].clone();
            object["metadata"]["creationTimestamp"] = case["created"].clone();
            if let Some(deleted) = case.get("deleted") {
                object["metadata"]["deletionTimestamp"] = deleted.clone();
            }
            let Some(now) = case["now"].as_str() else {
                panic!("{file}: {} has no row", case["case"]);
            };
            let options = Options {
                now_micros: micros(now),
                ..options(Include::None)
            };
            let table = printer(&object).table(None, [&object], &options);
            assert_eq!(
                table["rows"][0]["cells"], case["cells"],
                "{file}: {}",
                case["case"]
            );
            count += 1;
        }
    }
    assert!(count > 130, "only {count} cases were read");
}

#[test]
fn the_columns_of_kinds_are_those_of_upstream_and_say_what_they_mean() {
    for line in COLUMNS.lines() {
        let mut words = line.splitn(3, ' ');
        let (place, kind) = (words.next().unwrap(), words.next().unwrap());
        let (group, _) = place.split_once('/').unwrap();
        let table = Printer::builtin(group, kind).table(None, [], &options(Include::None));
        let columns = table["columnDefinitions"].as_array().unwrap();
        let ours: Vec<String> = columns
            .iter()
            .map(|column| {
                let of = |field: &str| column[field].as_str().unwrap();
                let mut text = of("name").to_owned();
                if of("type") != "string" {
                    text += &format!(":{}", of("type"));
                }
                if !of("format").is_empty() {
                    text += &format!("/{}", of("format"));
                }
                if column["priority"] != 0 {
                    text += &format!("+{}", column["priority"]);
                }
                // Upstream says nothing of a runtime class's handler.
                let is_described = !of("description").is_empty();
                assert_eq!(is_described, of("name") != "Handler", "{kind} {text}");
                text
            })
            .collect();
        assert_eq!(ours.join(" | "), words.next().unwrap(), "{kind}");
    }
    let listed = Catalog::builtin()
        .resources
        .iter()
        .filter(|resource| resource.verbs.iter().any(|verb| verb == "list"));
    assert_eq!(listed.count(), COLUMNS.lines().count());
}

fn namespace() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"},
        "metadata": {"name": "n", "resourceVersion": "7", "creationTimestamp": "2026-11-27T07:58:00Z"},
    })
}

#[test]
fn a_row_carries_its_metadata_unless_the_client_asks_for_all_or_nothing() {
    let object = namespace();
    let with = |include| {
        let table = printer(&object).table(None, [&object], &options(include));
        table["rows"][0]["object"].clone()
    };
    assert_eq!(with(Include::None), Value::Null);
    assert_eq!(with(Include::Object), object);
    assert_eq!(
        with(Include::Metadata),
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
    );
    assert_eq!(Include::parse(""), Ok(Include::Metadata));
    assert_eq!(
        Include::parse("Bad").unwrap_err().to_value()["message"],
        "Unable to convert to Table as requested: includeObject: Invalid value: \"Bad\": must be 'Metadata', 'Object', 'None', or empty"
    );
}

#[test]
fn a_table_carries_what_its_list_says_and_nothing_else_of_the_metadata() {
    let metadata = json!({"resourceVersion": "9", "continue": "abc", "remainingItemCount": 4, "selfLink": "x"});
    let object = namespace();
    let table = printer(&object).table(Some(&metadata), [&object], &options(Include::None));
    let told = json!({"resourceVersion": "9", "continue": "abc", "remainingItemCount": 4});
    assert_eq!(table["metadata"], told);
    assert_eq!(table["rows"][0]["cells"], json!(["n", "Active", "2m"]));
    let table = printer(&object).table(object.get("metadata"), [&object], &options(Include::None));
    assert_eq!(table["metadata"], json!({"resourceVersion": "7"}));
    let list = partial_list(Some(&metadata), [&object]);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["metadata"], told);
    assert_eq!(list["items"], json!([partial(&object)]));
    assert_eq!(partial_list(None, [])["items"], Value::Null);
}

#[test]
fn a_scale_has_columns_though_it_is_no_resource() {
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 2},
        "metadata": {"name": "sc", "creationTimestamp": "2026-11-27T08:00:00Z"},
    });
    let table = printer(&scale).table(None, [&scale], &options(Include::None));
    assert_eq!(table["rows"][0]["cells"], json!(["sc", 2, 0, "0s"]));
    assert_eq!(table["columnDefinitions"][0]["format"], "");
}

#[test]
fn later_events_of_a_watch_do_not_tell_the_columns_again() {
    let object = namespace();
    let options = Options {
        headers: false,
        ..options(Include::None)
    };
    let table = printer(&object).table(None, [&object], &options);
    assert_eq!(table["columnDefinitions"], Value::Null);
    assert_eq!(table["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn the_bookmark_after_the_first_events_keeps_its_annotation_whatever_the_client_asks_for() {
    let metadata =
        json!({"resourceVersion": "8", "annotations": {"k8s.io/initial-events-end": "true"}});
    let bookmark = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
    let table = printer(&bookmark).table(
        bookmark.get("metadata"),
        [&bookmark],
        &options(Include::None),
    );
    assert_eq!(table["rows"][0]["object"]["metadata"], metadata);
    assert_eq!(
        table["rows"][0]["cells"],
        json!([
            "",
            "0/0",
            "",
            "0",
            "<unknown>",
            "<none>",
            "<none>",
            "<none>",
            "<none>"
        ])
    );
}

#[test]
fn an_empty_list_has_no_rows_and_for_kinds_without_columns_not_even_a_list_of_them() {
    let rows = |group: &str, kind: &str| {
        Printer::builtin(group, kind).table(None, [], &options(Include::None))["rows"].clone()
    };
    assert_eq!(rows("", "Pod"), json!([]));
    assert_eq!(rows("", "LimitRange"), Value::Null);
}

#[test]
fn rows_of_pods_that_have_ended_say_so() {
    let condition = |phase: &str| {
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {"phase": phase}});
        let table = printer(&pod).table(None, [&pod], &options(Include::None));
        table["rows"][0].get("conditions").cloned()
    };
    let ended = |reason: &str, message: &str| {
        Some(json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]))
    };
    assert_eq!(condition("Running"), None);
    assert_eq!(
        condition("Succeeded"),
        ended("Succeeded", "The pod has completed successfully.")
    );
    assert_eq!(condition("Failed"), ended("Failed", "The pod failed."));
}

#[test]
fn flow_schemas_are_listed_in_the_order_in_which_they_are_tried() {
    let schema = |name: &str, precedence: i64| json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}});
    let schemas = [schema("c", 9), schema("b", 1000), schema("a", 1000)];
    let printer = Printer::builtin("flowcontrol.apiserver.k8s.io", "FlowSchema");
    let table = printer.table(None, &schemas, &options(Include::None));
    let names: Vec<&Value> = (0..3).map(|row| &table["rows"][row]["cells"][0]).collect();
    assert_eq!(names, ["c", "a", "b"]);
}

#[test]
fn ages_have_two_or_three_digits_that_count() {
    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    for (seconds, text) in [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 60, "3h1m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (48 * HOUR - 1, "47h"),
        (48 * HOUR, "2d"),
        (2 * DAY + HOUR, "2d1h"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (2 * YEAR + DAY, "2y1d"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR, "8y"),
    ] {
        let mut object = namespace();
        object["metadata"]["creationTimestamp"] = json!("2000-01-01T00:00:00Z");
        let options = Options {
            now_micros: micros("2000-01-01T00:00:00Z") + seconds * 1_000_000,
            ..options(Include::None)
        };
        let table = printer(&object).table(None, [&object], &options);
        assert_eq!(table["rows"][0]["cells"][2], text, "{seconds} s");
    }
    let mut object = namespace();
    object["metadata"]["creationTimestamp"] = Value::Null;
    let table = printer(&object).table(None, [&object], &options(Include::None));
    assert_eq!(table["rows"][0]["cells"][2], "<unknown>");
}

#[test]
fn the_cells_of_custom_resources_are_those_of_upstream() {
    let file: Value = serde_yaml_ng::from_str(CUSTOM).unwrap();
    let metadata = json!({"name": "g", "labels": {"example.com/l": "lab"}, "creationTimestamp": file["created"]});
    let full = json!({"kind": "Gear", "metadata": metadata, "spec": file["spec"]});
    let bare = json!({"kind": "Gear", "metadata": metadata, "spec": {}});
    let options = Options {
        now_micros: micros(file["now"].as_str().unwrap()),
        ..options(Include::None)
    };
    for row in file["columns"].as_array().unwrap() {
        let column = json!({"name": "C", "type": row[0], "jsonPath": row[1]});
        let printer = Printer::custom(&json!({"additionalPrinterColumns": [column]}));
        let table = printer.table(None, [&full, &bare], &options);
        assert_eq!(table["rows"][0]["cells"], json!(["g", row[2]]), "{row}");
        assert_eq!(table["rows"][1]["cells"], json!(["g", row[3]]), "{row}");
    }
}

#[test]
fn a_custom_resource_without_columns_shows_its_age() {
    let printer = Printer::custom(&json!({"name": "v1"}));
    let mut gear = namespace();
    gear["kind"] = json!("Gear");
    let table = printer.table(None, [&gear], &options(Include::None));
    assert_eq!(table["rows"][0]["cells"], json!(["n", "2m"]));
    let column = &table["columnDefinitions"][1];
    assert_eq!(
        (&column["name"], &column["type"]),
        (&json!("Age"), &json!("date"))
    );
}

#[test]
fn columns_from_the_first_that_cannot_be_read_are_not_shown() {
    let column = |name: &str, path: &str| json!({"name": name, "type": "string", "jsonPath": path, "priority": 2});
    let columns = [
        column("A", ".kind"),
        column("Bad", ".spec["),
        column("B", ".kind"),
    ];
    let printer = Printer::custom(&json!({"additionalPrinterColumns": columns}));
    let table = printer.table(None, [&namespace()], &options(Include::None));
    assert_eq!(table["rows"][0]["cells"], json!(["n", "Namespace"]));
    assert_eq!(
        table["columnDefinitions"][1],
        json!({
            "name": "A", "type": "string", "format": "", "priority": 2,
            "description": "Custom resource definition column (in JSONPath format): .kind",
        })
    );
    assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 2);
}

/// Any object whose fields have the names that printers look for, and other content than they hope for.
fn any_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9:TZ.<]{0,4}".prop_map(Value::from),
    ];
    let names = [
        "metadata",
        "spec",
        "status",
        "name",
        "containers",
        "initContainerStatuses",
        "containerStatuses",
        "state",
        "terminated",
        "conditions",
        "type",
        "metrics",
        "resource",
        "ports",
        "subsets",
        "addresses",
        "rules",
        "selector",
        "matchExpressions",
        "creationTimestamp",
        "series",
        "hard",
        "used",
        "labels",
        "loadBalancer",
        "ingress",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop::sample::select(names.map(str::to_owned).to_vec()),
                inner,
                0..6
            )
            .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_a_printer_panic(object in any_object(), now_micros in any::<i64>()) {
        let options = Options { include: Include::Metadata, headers: false, now_micros };
        for resource in &Catalog::builtin().resources {
            let table = Printer::builtin(&resource.group, &resource.kind).table(None, [&object], &options);
            prop_assert!(table["rows"][0]["cells"].is_array());
        }
    }
}
