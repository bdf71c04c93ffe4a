//! The levels and schemas that every cluster begins with: two of each cannot be changed, the others are upstream's suggestion.

use objects::Value;
use serde_json::json;

pub(super) const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
/// Whether the server keeps the object as it is here.
pub(super) const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// An object that every cluster begins with.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) object: Value,
    /// Whether it is always as it is here.
    pub(super) mandatory: bool,
}

/// A level: its name, its shares, the percentage that it lends, and the number of its queues with the size of a hand.
type Level = (&'static str, u32, u32, Option<(u32, u32)>);

const LEVELS: [Level; 7] = [
    ("catch-all", 5, 0, None),
    ("global-default", 20, 50, Some((128, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("node-high", 40, 25, Some((64, 6))),
    ("system", 30, 33, Some((64, 6))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
];
/// The most that wait in one queue.
const QUEUE_LENGTH_MAX: u32 = 50;

/// All levels.
pub(super) fn levels() -> impl Iterator<Item = Expected> {
    let exempt =
        json!({"type": "Exempt", "exempt": {"lendablePercent": 0, "nominalConcurrencyShares": 0}});
    let exempt = Expected {
        object: object("PriorityLevelConfiguration", "exempt", exempt),
        mandatory: true,
    };
    let limited = LEVELS.into_iter().map(|(name, shares, lendable, queues)| {
        let response = match queues {
            Some((count, hand)) => json!({
                "type": "Queue",
                "queuing": {"queues": count, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH_MAX},
            }),
            None => json!({"type": "Reject"}),
        };
        let spec = json!({
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": shares,
                "lendablePercent": lendable,
                "limitResponse": response,
            },
        });
        Expected {
            object: object("PriorityLevelConfiguration", name, spec),
            mandatory: name == "catch-all",
        }
    });
    std::iter::once(exempt).chain(limited)
}

/// Whose requests a schema is about.
enum Who {
    Everybody,
    Group(&'static str),
    User(&'static str),
    KubeSystem,
    Leaders,
}

/// Which of their requests.
enum What {
    Everything,
    Probes,
    Leases,
    NodeHealth,
}

/// A schema: its name, its level, its place among the others, what tells its flows apart, and what it is about.
type Flow = (&'static str, &'static str, u32, &'static str, Who, What);

const FLOWS: [Flow; 11] = [
    (
        "exempt",
        "exempt",
        1,
        "",
        Who::Group("system:masters"),
        What::Everything,
    ),
    (
        "catch-all",
        "catch-all",
        10_000,
        "ByUser",
        Who::Everybody,
        What::Everything,
    ),
    (
        "system-nodes",
        "system",
        500,
        "ByUser",
        Who::Group("system:nodes"),
        What::Everything,
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        Who::Group("system:nodes"),
        What::NodeHealth,
    ),
    ("probes", "exempt", 2, "", Who::Everybody, What::Probes),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        Who::Leaders,
        What::Leases,
    ),
    (
        "kube-controller-manager",
        "workload-high",
        800,
        "ByNamespace",
        Who::User("system:kube-controller-manager"),
        What::Everything,
    ),
    (
        "kube-scheduler",
        "workload-high",
        800,
        "ByNamespace",
        Who::User("system:kube-scheduler"),
        What::Everything,
    ),
    (
        "kube-system-service-accounts",
        "workload-high",
        900,
        "ByNamespace",
        Who::KubeSystem,
        What::Everything,
    ),
    (
        "service-accounts",
        "workload-low",
        9_000,
        "ByUser",
        Who::Group("system:serviceaccounts"),
        What::Everything,
    ),
    (
        "global-default",
        "global-default",
        9_900,
        "ByUser",
        Who::Everybody,
        What::Everything,
    ),
];

/// All schemas.
pub(super) fn schemas() -> impl Iterator<Item = Expected> {
    FLOWS
        .into_iter()
        .map(|(name, level, precedence, method, who, what)| {
            let mut rule = rule(&what);
            rule["subjects"] = subjects(&who);
            let mut spec = json!({
                "matchingPrecedence": precedence,
                "priorityLevelConfiguration": {"name": level},
                "rules": [rule],
            });
            if !method.is_empty() {
                spec["distinguisherMethod"] = json!({"type": method});
            }
            Expected {
                object: object("FlowSchema", name, spec),
                mandatory: matches!(name, "exempt" | "catch-all"),
            }
        })
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}},
        "spec": spec,
    })
}

fn subjects(who: &Who) -> Value {
    let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let kube_system = json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}});
    match who {
        Who::Everybody => json!([
            group("system:unauthenticated"),
            group("system:authenticated")
        ]),
        Who::Group(name) => json!([group(name)]),
        Who::User(name) => json!([user(name)]),
        Who::KubeSystem => json!([kube_system]),
        Who::Leaders => json!([
            user("system:kube-controller-manager"),
            user("system:kube-scheduler"),
            kube_system,
        ]),
    }
}

fn rule(what: &What) -> Value {
    let leases = |verbs: Value| json!({"apiGroups": ["coordination.k8s.io"], "namespaces": ["*"], "resources": ["leases"], "verbs": verbs});
    match what {
        What::Everything => json!({
            "resourceRules": [{
                "apiGroups": ["*"],
                "clusterScope": true,
                "namespaces": ["*"],
                "resources": ["*"],
                "verbs": ["*"],
            }],
            "nonResourceRules": [{"nonResourceURLs": ["*"], "verbs": ["*"]}],
        }),
        What::Probes => json!({
            "nonResourceRules": [{"nonResourceURLs": ["/healthz", "/readyz", "/livez"], "verbs": ["get"]}],
        }),
        What::Leases => json!({"resourceRules": [leases(json!(["get", "create", "update"]))]}),
        What::NodeHealth => json!({
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "clusterScope": true,
                    "namespaces": ["*"],
                    "resources": ["nodes", "nodes/status"],
                    "verbs": ["*"],
                },
                leases(json!(["*"])),
            ],
        }),
    }
}
