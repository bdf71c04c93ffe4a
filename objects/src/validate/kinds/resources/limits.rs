//! Limit ranges: what a container, a pod or a claim may ask for.

use std::collections::BTreeSet;

use super::{container_resource_name, is_huge_page, is_native, resource_name};
use crate::{
    Value,
    invalid::Faults,
    validate::{
        kinds::{amount, rules, view::View},
        names,
    },
};

pub(crate) fn limit_range(new: &Value, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for limit in View::root(new).at("spec").at("limits").items() {
        let kind = limit.at("type");
        type_name(&kind, faults);
        if !seen.insert(kind.text()) {
            faults.push(kind.duplicate());
        }
        let mut keys = BTreeSet::new();
        for field in ["max", "min", "default", "defaultRequest"] {
            let amounts = limit.at(field);
            if kind.text() == "Pod" && field.starts_with("default") {
                if !amounts.is_empty() {
                    faults.push(amounts.forbidden("may not be specified when `type` is 'Pod'"));
                }
            } else {
                resource_names(kind.text(), &amounts, &mut keys, faults);
            }
        }
        let storage = |field: &str| limit.at(field).at("storage").is_set();
        if kind.text() == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            let detail =
                "either minimum or maximum storage value is required, but neither was provided";
            faults.push(limit.at("limits").required(detail));
        }
        let ratios = limit.at("maxLimitRequestRatio");
        resource_names(kind.text(), &ratios, &mut keys, faults);
        for key in keys {
            compare(&limit, kind.text(), key, faults);
        }
    }
}

fn type_name(kind: &View<'_>, faults: &mut Faults) {
    let before = faults.len();
    rules::named(kind, names::qualified, faults);
    let known = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text());
    if faults.len() == before && !known && !kind.text().contains('/') {
        faults.push(kind.invalid("must be a standard limit type or fully qualified"));
    }
}

fn resource_names<'a>(
    kind: &str,
    amounts: &View<'a>,
    keys: &mut BTreeSet<&'a str>,
    faults: &mut Faults,
) {
    for (name, amount) in amounts.entries() {
        if matches!(kind, "Pod" | "Container") {
            container_resource_name(name, &amount.path, faults);
        } else {
            resource_name(name, &amount.path, faults);
        }
        keys.insert(name);
    }
}

/// Two amounts of which the first is not to be larger, in words, and which of them is told of under which field.
type Order<'a> = (
    &'a Option<View<'a>>,
    &'a Option<View<'a>>,
    [&'static str; 2],
    &'a Option<View<'a>>,
    &'static str,
);

/// The amounts of one resource against one another.
fn compare(limit: &View<'_>, kind: &str, key: &str, faults: &mut Faults) {
    let of = |field: &str| Some(limit.at(field).key(key)).filter(View::is_set);
    let default_of = |field: &str| of(field).filter(|_| kind != "Pod");
    let (min, max) = (of("min"), of("max"));
    let (default, request) = (default_of("default"), default_of("defaultRequest"));
    let (least, most) = ("min value", "max value");
    let (wanted, limited) = ("default request value", "default limit value");
    let orders: [Order<'_>; 6] = [
        (&min, &max, [least, most], &min, "min"),
        (&min, &request, [least, wanted], &request, "defaultRequest"),
        (&request, &max, [wanted, most], &request, "defaultRequest"),
        (
            &request,
            &default,
            [wanted, limited],
            &request,
            "defaultRequest",
        ),
        (&min, &default, [least, "default value"], &min, "default"),
        (&default, &max, ["default value", most], &max, "default"),
    ];
    for order in orders {
        ordered(order, limit, key, faults);
    }
    if let Some(ratio) = of("maxLimitRequestRatio") {
        ratio_within(&ratio, min.as_ref(), max.as_ref(), faults);
    }
    let overcommits = is_native(key) && !is_huge_page(key);
    if let (Some(default), Some(request)) = (default, request)
        && !overcommits
        && amount::nano_units(default.value) != amount::nano_units(request.value)
    {
        faults.push(request.invalid(format!(
            "default value {} must equal to defaultRequest value {} in {key}",
            amount::shown(default.value),
            amount::shown(request.value)
        )));
    }
}

fn ordered(order: Order<'_>, limit: &View<'_>, key: &str, faults: &mut Faults) {
    let (Some(less), Some(more), [less_name, more_name], Some(told), field) = order else {
        return;
    };
    if amount::nano_units(less.value) > amount::nano_units(more.value) {
        let detail = format!(
            "{less_name} {} is greater than {more_name} {}",
            amount::shown(less.value),
            amount::shown(more.value)
        );
        let told = told.told_as(limit.path.child(field).key(key));
        faults.push(told.invalid(detail));
    }
}

fn ratio_within(
    ratio: &View<'_>,
    min: Option<&View<'_>>,
    max: Option<&View<'_>>,
    faults: &mut Faults,
) {
    let (shown, value) = (amount::shown(ratio.value), amount::nano_units(ratio.value));
    let one = amount::nano_units(&Value::from(1));
    if value < one {
        faults.push(ratio.invalid(format!("ratio {shown} is less than 1")));
    }
    let (Some(min), Some(max)) = (min, max) else {
        return;
    };
    let (min, max) = (amount::nano_units(min.value), amount::nano_units(max.value));
    // No more digits are told than a double holds.
    #[allow(
        clippy::cast_precision_loss,
        reason = "upstream divides doubles and tells six digits"
    )]
    let (limit, value) = (max as f64 / min as f64, value as f64 / one as f64);
    if value > limit {
        faults.push(ratio.invalid(format!(
            "ratio {shown} is greater than max/min = {limit:.6}"
        )));
    }
}
