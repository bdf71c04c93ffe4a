//! The selectors in a question about a resource: raw, or as requirements.

use objects::{
    Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
};

/// The field selector of a question in the form that lists have it.
pub(super) fn field_selector(body: &Value) -> String {
    selector(body, "fieldSelector", |key, operator, values| {
        match (operator, values) {
            ("In", [one]) => Some(format!("{}={}", escaped(key), escaped(one))),
            ("NotIn", [one]) => Some(format!("{}!={}", escaped(key), escaped(one))),
            _ => None,
        }
    })
}

/// The label selector of a question in the form that lists have it.
pub(super) fn label_selector(body: &Value) -> String {
    selector(body, "labelSelector", |key, operator, values| {
        let values = values.join(",");
        match operator {
            "In" => Some(format!("{key} in ({values})")),
            "NotIn" => Some(format!("{key} notin ({values})")),
            "Exists" => Some(key.to_owned()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        }
    })
}

/// A requirement that is not understood is left out, which asks for more.
fn selector(
    body: &Value,
    name: &str,
    write: impl Fn(&str, &str, &[&str]) -> Option<String>,
) -> String {
    let place = ["spec", "resourceAttributes", name];
    let Some(own) = meta::at(body, &place) else {
        return String::new();
    };
    let requirements = meta::list(own, &["requirements"]);
    if requirements.is_empty() {
        return meta::text(own, &["rawSelector"]).to_owned();
    }
    let written: Vec<String> = requirements
        .iter()
        .filter_map(|requirement| {
            let values: Vec<&str> = meta::list(requirement, &["values"])
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let key = meta::text(requirement, &["key"]);
            write(key, meta::text(requirement, &["operator"]), &values)
        })
        .collect();
    written.join(",")
}

/// A text of a field selector, in which commas and signs stand for themselves.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// What is wrong with the selectors of a part about a resource.
pub(super) fn check(resource: &Value, faults: &mut Faults) {
    for name in ["fieldSelector", "labelSelector"] {
        if let Some(own) = resource.get(name).filter(|own| !own.is_null()) {
            let path = Path::new("spec.resourceAttributes").child(name);
            check_selector(own, &path, faults);
        }
    }
}

fn check_selector(own: &Value, path: &Path, faults: &mut Faults) {
    let raw = meta::text(own, &["rawSelector"]);
    let requirements = meta::list(own, &["requirements"]);
    match (raw.is_empty(), requirements.is_empty()) {
        (false, false) => {
            let detail = "may not specified at the same time as requirements";
            faults.push(Invalid::value(&path.child("rawSelector"), raw, detail));
        }
        (true, true) => faults.push(Invalid::required(
            &path.child("requirements"),
            format!("when {path} is specified, requirements or rawSelector is required"),
        )),
        _ => {}
    }
    for (index, requirement) in requirements.iter().enumerate() {
        let path = path.child("requirements").index(index);
        let values = meta::list(requirement, &["values"]);
        match meta::text(requirement, &["operator"]) {
            "In" | "NotIn" if values.is_empty() => faults.push(Invalid::required(
                &path.child("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => faults.push(Invalid::forbidden(
                &path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            _ => {}
        }
    }
}
