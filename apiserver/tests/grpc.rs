//! The gRPC service as its clients see it: over TLS, on a server whose store is a stock etcd.

mod discovery;
mod starting;

use std::time::Duration;

use crate::cluster::{Cluster, event, pod, pods};
use prost::Message;
use proto::api::{
    ApplyRequest, BatchRequest, BindRequest, Binding, CreateRequest, DeleteCollectionRequest,
    DeleteOptions, DeleteRequest, EventType, Failure, GetRequest, ListRequest, PatchRequest,
    PatchType, Target, UpdateRequest, WatchRequest, Write, WriteOptions, outcome, write,
};
use serde_json::{Value, json};
use tonic::Code;

fn tree(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn create(name: &str) -> CreateRequest {
    CreateRequest {
        target: Some(pods("")),
        object: pod(name).to_string().into(),
        options: None,
    }
}

fn failure(status: &tonic::Status) -> Failure {
    let value = status.metadata().get_bin("mainstay-failure-bin").unwrap();
    Failure::decode(value.to_bytes().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_made_read_changed_and_deleted() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    let made = client.create(create("a")).await.unwrap().into_inner();
    assert!(made.created && !made.uid.is_empty());
    assert_eq!(made.name, "a");

    let again = client.create(create("a")).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    let status = tree(&failure(&again).status);
    assert_eq!(status["message"], "pods \"a\" already exists");
    assert_eq!(status["code"], 409);

    let get = GetRequest {
        target: Some(pods("a")),
        resource_version: String::new(),
    };
    let read = client.get(get).await.unwrap().into_inner();
    let mut object = tree(&read.object);
    assert_eq!(
        object["metadata"]["resourceVersion"],
        json!(made.resource_version)
    );

    object["metadata"]["labels"] = json!({"app": "web"});
    let update = UpdateRequest {
        target: Some(pods("a")),
        object: object.to_string().into(),
        options: None,
    };
    let updated = client.update(update.clone()).await.unwrap().into_inner();
    assert_ne!(updated.resource_version, made.resource_version);
    object["metadata"]["labels"] = json!({"app": "late"});
    let late = UpdateRequest {
        object: object.to_string().into(),
        ..update
    };
    let conflict = client.update(late).await.unwrap_err();
    assert_eq!(conflict.code(), Code::Aborted);
    assert_eq!(failure(&conflict).reason, "Conflict");

    let delete = DeleteRequest {
        target: Some(pods("a")),
        options: Some(DeleteOptions {
            grace_period_seconds: Some(0),
            ..DeleteOptions::default()
        }),
    };
    assert!(
        client
            .delete(delete.clone())
            .await
            .unwrap()
            .into_inner()
            .gone
    );
    let gone = client.delete(delete).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_patched_and_applied_to() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    client.create(create("a")).await.unwrap();
    for (kind, patch) in [
        (
            PatchType::Merge,
            r#"{"metadata":{"labels":{"app":"web","b":"1"}}}"#,
        ),
        (PatchType::Strategic, r#"{"metadata":{"labels":{"c":"1"}}}"#),
        (
            PatchType::Json,
            r#"[{"op":"remove","path":"/metadata/labels/app"}]"#,
        ),
    ] {
        let patch = PatchRequest {
            target: Some(pods("a")),
            r#type: kind.into(),
            patch: patch.as_bytes().to_vec().into(),
            options: None,
        };
        client.patch(patch).await.unwrap();
    }
    let apply = ApplyRequest {
        target: Some(pods("a")),
        configuration:
            br#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","labels":{"d":"1"}}}"#
                .to_vec()
                .into(),
        options: Some(WriteOptions {
            field_manager: "me".to_owned(),
            ..WriteOptions::default()
        }),
        force: false,
    };
    let applied = client.apply(apply).await.unwrap().into_inner();
    assert!(!applied.created);
    let labels = tree(&applied.object)["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"b": "1", "c": "1", "d": "1"}));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_of_a_batch_fail_by_themselves() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    let writes = ["b1", "b2", "b1x/y"].map(create).map(|create| Write {
        write: Some(write::Write::Create(create)),
    });
    let mut writes = writes.to_vec();
    writes.push(Write { write: None });
    let batch = BatchRequest {
        writes,
        return_objects: false,
    };
    let outcomes = client.batch(batch).await.unwrap().into_inner().outcomes;
    let told: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| match outcome.outcome.unwrap() {
            outcome::Outcome::Written(written) => {
                assert!(written.object.is_empty());
                written.name
            }
            outcome::Outcome::Deleted(_) => "deleted".to_owned(),
            outcome::Outcome::Failure(failure) => failure.reason,
        })
        .collect();
    assert_eq!(told, ["b1", "b2", "Invalid", "BadRequest"]);

    let bindings = ["b1", "none", "b2"].map(|name| Binding {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        node: "n1".to_owned(),
        ..Binding::default()
    });
    let bind = BindRequest {
        bindings: bindings.to_vec(),
        dry_run: false,
    };
    let outcomes = client
        .bind(bind.clone())
        .await
        .unwrap()
        .into_inner()
        .outcomes;
    let reason = |failure: Option<Failure>| failure.map(|failure| failure.reason);
    let told: Vec<_> = outcomes
        .into_iter()
        .map(|one| reason(one.failure))
        .collect();
    assert_eq!(told, [None, Some("NotFound".to_owned()), None]);
    let outcomes = client.bind(bind).await.unwrap().into_inner().outcomes;
    assert_eq!(
        reason(outcomes[0].failure.clone()).as_deref(),
        Some("Conflict")
    );

    let list = ListRequest {
        target: Some(pods("")),
        field_selector: "spec.nodeName=n1".to_owned(),
        ..ListRequest::default()
    };
    let mut chunks = client.list(list).await.unwrap().into_inner();
    let chunk = chunks.message().await.unwrap().unwrap();
    assert_eq!(chunk.objects.len(), 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admission_is_asked_about_bindings() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    client.create(create("b")).await.unwrap();
    let spec = json!({
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/binding"],
        }]},
        "validations": [{"expression": "object.target.name != 'closed'"}],
    });
    let of_binding = json!({"policyName": "p", "validationActions": ["Deny"]});
    for (kind, resource, spec) in [
        (
            "ValidatingAdmissionPolicy",
            "validatingadmissionpolicies",
            spec,
        ),
        (
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            of_binding,
        ),
    ] {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "p"}, "spec": spec,
        });
        let target = Target {
            group: "admissionregistration.k8s.io".to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            ..Target::default()
        };
        let request = CreateRequest {
            target: Some(target),
            object: object.to_string().into(),
            options: None,
        };
        client.create(request).await.unwrap();
    }
    let mut bind = async |node: &str, dry_run| {
        let binding = Binding {
            namespace: "default".to_owned(),
            name: "b".to_owned(),
            node: node.to_owned(),
            ..Binding::default()
        };
        let request = BindRequest {
            bindings: vec![binding],
            dry_run,
        };
        let outcomes = client.bind(request).await.unwrap().into_inner().outcomes;
        outcomes[0].failure.clone()
    };
    let denied = async {
        loop {
            if let Some(failure) = bind("closed", true).await {
                return failure;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let denied = tokio::time::timeout(Duration::from_secs(30), denied);
    let message = denied.await.unwrap().message;
    assert!(message.contains("'p' denied request"), "{message}");
    assert!(bind("open", false).await.is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_comes_in_chunks_of_one_revision() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    for number in 0..5 {
        let mut object = pod(&format!("large-{number}"));
        object["metadata"]["annotations"] = json!({"large": "x".repeat(240 << 10)});
        let create = CreateRequest {
            object: object.to_string().into(),
            ..create("")
        };
        client.create(create).await.unwrap();
    }
    let list = ListRequest {
        target: Some(pods("")),
        ..ListRequest::default()
    };
    let mut stream = client.list(list.clone()).await.unwrap().into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        chunks.push(chunk);
    }
    let counts: Vec<usize> = chunks.iter().map(|chunk| chunk.objects.len()).collect();
    assert_eq!(counts, [4, 1]);
    assert_eq!(chunks[0].resource_version, chunks[1].resource_version);

    let limited = ListRequest { limit: 2, ..list };
    let mut stream = client.list(limited.clone()).await.unwrap().into_inner();
    let chunk = stream.message().await.unwrap().unwrap();
    assert_eq!((chunk.objects.len(), chunk.remaining), (2, Some(3)));
    let rest = ListRequest {
        continue_token: chunk.continue_token,
        limit: 0,
        ..limited
    };
    let mut stream = client.list(rest).await.unwrap().into_inner();
    let chunk = stream.message().await.unwrap().unwrap();
    assert_eq!(chunk.objects.len(), 3);

    let all = DeleteCollectionRequest {
        target: Some(pods("")),
        options: Some(DeleteOptions {
            grace_period_seconds: Some(0),
            ..DeleteOptions::default()
        }),
        ..DeleteCollectionRequest::default()
    };
    let deleted = client.delete_collection(all).await.unwrap().into_inner();
    assert_eq!(deleted.count, 5);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_resumes_where_it_was_left() {
    let cluster = Cluster::start().await;
    let mut client = cluster.client("admin-token").await;
    client.create(create("w1")).await.unwrap();
    let watch = WatchRequest {
        target: Some(pods("")),
        initial_events: Some(true),
        bookmarks: true,
        ..WatchRequest::default()
    };
    let mut stream = client.watch(watch.clone()).await.unwrap().into_inner();
    let mut waiting = Vec::new();
    let first = event(&mut stream, &mut waiting).await;
    assert_eq!(first.r#type(), EventType::Added);
    let bookmark = event(&mut stream, &mut waiting).await;
    assert_eq!(bookmark.r#type(), EventType::Bookmark);
    assert!(bookmark.initial_events_end);
    drop(stream);

    client.create(create("w2")).await.unwrap();
    let resume = WatchRequest {
        resource_version: bookmark.resource_version,
        initial_events: None,
        ..watch.clone()
    };
    let mut stream = client.watch(resume).await.unwrap().into_inner();
    let added = event(&mut stream, &mut Vec::new()).await;
    assert_eq!(added.r#type(), EventType::Added);
    assert_eq!(tree(&added.object)["metadata"]["name"], "w2");

    let old = WatchRequest {
        resource_version: "1".to_owned(),
        initial_events: None,
        ..watch
    };
    let mut stream = client.watch(old).await.unwrap().into_inner();
    let error = event(&mut stream, &mut Vec::new()).await;
    assert_eq!(error.r#type(), EventType::Error);
    assert_eq!(error.failure.unwrap().reason, "Expired");
    let end = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
    assert!(end.unwrap().unwrap().is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_is_refused_and_what_is_too_large_too() {
    let cluster = Cluster::start().await;
    let get = GetRequest {
        target: Some(pods("a")),
        resource_version: String::new(),
    };
    let mut alice = cluster.client("alice-token").await;
    let refused = alice.get(get.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "pods \"a\" is forbidden: User \"alice\" cannot get resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let mut nobody = cluster.client("wrong").await;
    assert_eq!(
        nobody.get(get).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let mut admin = cluster.client("admin-token").await;
    let large = CreateRequest {
        object: vec![b' '; 4 << 20].into(),
        ..create("")
    };
    assert_eq!(
        admin.create(large).await.unwrap_err().code(),
        Code::OutOfRange
    );
    cluster.stop().await;
}

const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:apiserver"]}
- {level: RequestResponse}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_in_the_audit_log_and_each_write_of_a_batch_by_itself() {
    let flags = [
        "--audit-policy-file={}/policy.yaml",
        "--audit-log-path={}/audit.log",
    ];
    let cluster = Cluster::start_from(&flags, &[("policy.yaml", POLICY)]).await;
    let mut client = cluster.client("admin-token").await;
    let writes = ["a", "b"].map(|name| Write {
        write: Some(write::Write::Create(create(name))),
    });
    let batch = BatchRequest {
        writes: writes.to_vec(),
        return_objects: false,
    };
    client.batch(batch).await.unwrap();
    let get = |name: &str| GetRequest {
        target: Some(pods(name)),
        resource_version: String::new(),
    };
    client.get(get("none")).await.unwrap_err();
    let mut other = cluster.client("alice-token").await;
    other.get(get("a")).await.unwrap_err();
    drop((client, other));
    let files = cluster.stopped().await;
    let text = std::fs::read_to_string(files.path().join("audit.log")).unwrap();
    let mut told: Vec<String> = text
        .lines()
        .map(|line| {
            let event = tree(line.as_bytes());
            let code = &event["responseStatus"]["code"];
            let (verb, name) = (&event["verb"], &event["objectRef"]["name"]);
            let decision = &event["annotations"]["authorization.k8s.io/decision"];
            let (sent, made) = (
                &event["requestObject"]["kind"],
                &event["responseObject"]["kind"],
            );
            let user = &event["user"]["username"];
            format!("{user} {verb} {name} {code} {decision} {sent} {made}").replace('"', "")
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "admin create a 200 allow Pod Pod",
            "admin create b 200 allow Pod Pod",
            "admin get none 404 allow null Status",
            "alice get a 403 forbid null Status",
        ]
    );
}
