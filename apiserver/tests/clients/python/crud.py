"""Objects are made, read, changed in each way, listed in each way, and deleted, through typed and dynamic calls."""

import base64
import json

from kubernetes import client, dynamic, utils, watch
from kubernetes.dynamic.exceptions import ConflictError

from faults import again, awaited, refused

STORIES = """
apiVersion: v1
kind: ConfigMap
metadata: {name: from-yaml, labels: {from: yaml}}
data: {a: one}
---
apiVersion: v1
kind: Service
metadata: {name: from-yaml, labels: {from: yaml}}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: web}]}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: from-yaml}}
- {apiVersion: batch/v1, kind: CronJob, metadata: {name: from-yaml}, spec: {schedule: "@daily", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}}}
"""


def all_of(namespace):
    typed(namespace)
    patches(namespace)
    scale_and_status(namespace)
    lists(namespace)
    secrets(namespace)
    from_yaml(namespace)
    dynamically(namespace)
    custom(namespace)


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def deployment(name):
    labels = {"app": name}
    container = client.V1Container(name="web", image="nginx", env=[client.V1EnvVar(name="A", value="1")])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name, labels=labels), spec=spec)


def typed(namespace):
    core = client.CoreV1Api()
    again(core.create_namespaced_config_map, namespace, config_map("typed", a="one"), settled=409)
    read = again(core.read_namespaced_config_map, "typed", namespace)
    assert read.data == {"a": "one"} and read.metadata.uid and read.metadata.creation_timestamp.year >= 2024, read

    twice = refused(core.create_namespaced_config_map, namespace, config_map("typed"))
    assert (twice.status, json.loads(twice.body)["reason"]) == (409, "AlreadyExists"), twice

    old = again(core.read_namespaced_config_map, "typed", namespace)
    old.data = {"a": "uno"}
    again(core.replace_namespaced_config_map, "typed", namespace, old, settled=409)
    late = refused(core.replace_namespaced_config_map, "typed", namespace, old)
    assert (late.status, json.loads(late.body)["reason"]) == (409, "Conflict"), late

    wrong = refused(core.create_namespaced_config_map, namespace, config_map("Not A Name"))
    body = json.loads(wrong.body)
    assert (wrong.status, body["reason"], body["details"]["causes"][0]["field"]) == (422, "Invalid", "metadata.name"), body

    dry = again(core.create_namespaced_config_map, namespace, config_map("dry", a="b"), dry_run="All")
    assert dry.metadata.uid
    assert refused(core.read_namespaced_config_map, "dry", namespace).status == 404

    again(core.delete_namespaced_config_map, "typed", namespace, settled=404)
    gone = refused(core.read_namespaced_config_map, "typed", namespace)
    assert (gone.status, json.loads(gone.body)["details"]) == (404, {"name": "typed", "kind": "configmaps"}), gone


def patches(namespace):
    apps = client.AppsV1Api()
    again(apps.create_namespaced_deployment, namespace, deployment("patched"), settled=409)

    def patch(body, kind, **more):
        return again(apps.patch_namespaced_deployment, "patched", namespace, body, _content_type=kind, **more)

    def environment(patched):
        return {(one.name, one.value) for one in patched.spec.template.spec.containers[0].env}

    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "B", "value": "2"}]}]}}}}
    patched = patch(strategic, "application/strategic-merge-patch+json")
    assert environment(patched) == {("A", "1"), ("B", "2")}, patched.spec.template.spec
    assert patched.spec.template.spec.containers[0].image == "nginx"

    merged = patch({"metadata": {"annotations": {"x": "y"}}, "spec": {"paused": True}}, "application/merge-patch+json")
    assert merged.spec.paused and merged.metadata.annotations["x"] == "y"

    steps = [{"op": "test", "path": "/spec/paused", "value": True}, {"op": "replace", "path": "/spec/replicas", "value": 3}]
    assert patch(steps, "application/json-patch+json").spec.replicas == 3
    failed = refused(
        apps.patch_namespaced_deployment,
        "patched",
        namespace,
        [{"op": "test", "path": "/spec/replicas", "value": 7}],
        _content_type="application/json-patch+json",
    )
    assert failed.status == 422, failed

    mine = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "patched"}, "spec": {"replicas": 5}}
    conflict = refused(
        apps.patch_namespaced_deployment,
        "patched",
        namespace,
        mine,
        _content_type="application/apply-patch+yaml",
        field_manager="python",
    )
    causes = json.loads(conflict.body)["details"]["causes"]
    assert conflict.status == 409 and causes[0]["reason"] == "FieldManagerConflict", conflict.body
    assert causes[0]["field"] == ".spec.replicas", causes
    applied = patch(mine, "application/apply-patch+yaml", field_manager="python", force=True)
    assert applied.spec.replicas == 5
    manager = [entry for entry in applied.metadata.managed_fields if entry.manager == "python"]
    assert manager[0].operation == "Apply" and manager[0].fields_v1 == {"f:spec": {"f:replicas": {}}}, manager


def scale_and_status(namespace):
    apps = client.AppsV1Api()
    scale = again(apps.read_namespaced_deployment_scale, "patched", namespace)
    assert scale.spec.replicas == 5 and scale.status.selector == "app=patched", scale
    scaled = again(apps.patch_namespaced_deployment_scale, "patched", namespace, {"spec": {"replicas": 2}})
    assert scaled.spec.replicas == 2
    status = {"spec": {"replicas": 9}, "status": {"replicas": 2, "readyReplicas": 2}}
    seen = again(apps.patch_namespaced_deployment_status, "patched", namespace, status)
    assert (seen.spec.replicas, seen.status.ready_replicas) == (2, 2), seen
    again(apps.delete_namespaced_deployment, "patched", namespace, propagation_policy="Background", settled=404)


def lists(namespace):
    core = client.CoreV1Api()
    for number in range(10):
        parity = {"parity": "odd" if number % 2 else "even"}
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"paged-{number}", labels=parity))
        again(core.create_namespaced_config_map, namespace, body, settled=409)
    names, versions, token = [], set(), None
    while True:
        page = again(core.list_namespaced_config_map, namespace, label_selector="parity", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        versions.add(page.metadata.resource_version)
        token = page.metadata._continue
        if not token:
            break
        assert len(page.items) == 3
    assert names == [f"paged-{number}" for number in range(10)] and len(versions) == 1, (names, versions)

    def count(**selectors):
        return len(again(core.list_namespaced_config_map, namespace, **selectors).items)

    assert count(label_selector="parity=odd") == 5
    assert count(label_selector="parity in (odd,even),parity!=odd") == 5
    assert count(field_selector="metadata.name=paged-3") == 1
    again(core.delete_collection_namespaced_config_map, namespace, label_selector="parity=odd")
    assert count(label_selector="parity") == 5
    pod = client.V1Pod(
        metadata=client.V1ObjectMeta(name="bound"),
        spec=client.V1PodSpec(node_name="n1", containers=[client.V1Container(name="a", image="a")]),
    )
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="default"))
    try:
        again(core.create_namespaced_service_account, namespace, account, settled=409)
    except client.ApiException as error:
        assert error.status == 409, error
    again(core.create_namespaced_pod, namespace, pod, settled=409)
    assert len(again(core.list_namespaced_pod, namespace, field_selector="spec.nodeName=n1").items) == 1
    assert not again(core.list_namespaced_pod, namespace, field_selector="status.phase!=Pending").items
    again(core.delete_namespaced_pod, "bound", namespace, grace_period_seconds=0, settled=404)


def secrets(namespace):
    core = client.CoreV1Api()
    body = client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"word": "open"}, immutable=True)
    again(core.create_namespaced_secret, namespace, body, settled=409)
    secret = again(core.read_namespaced_secret, "s", namespace)
    assert base64.b64decode(secret.data["word"]) == b"open" and secret.string_data is None
    assert refused(core.patch_namespaced_secret, "s", namespace, {"stringData": {"word": "shut"}}).status == 422


def from_yaml(namespace):
    import yaml

    def documents():
        return list(yaml.safe_load_all(STORIES))

    api = client.ApiClient()
    again(created, api, documents(), namespace=namespace, apply=True)
    services = again(client.CoreV1Api().list_namespaced_service, namespace, label_selector="from=yaml").items
    assert services[0].spec.ports[0].target_port == "web" and services[0].spec.cluster_ip, services
    assert again(client.BatchV1Api().read_namespaced_cron_job, "from-yaml", namespace).spec.schedule == "@daily"
    assert refused(created, api, documents()[:1], namespace=namespace).status == 409


def created(api, documents, **options):
    """Creates from documents. Of what is refused, the first refusal is raised as calls raise theirs."""
    try:
        utils.create_from_yaml(api, yaml_objects=documents, **options)
    except utils.FailToCreateError as error:
        raise error.api_exceptions[0]


def dynamically(namespace):
    found = again(dynamic.DynamicClient, client.ApiClient())
    maps = again(found.resources.get, api_version="v1", kind="ConfigMap")
    assert "cm" in maps.short_names and maps.namespaced
    first = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dynamic"}, "data": {"a": "one"}}
    applied = again(maps.server_side_apply, body=first, namespace=namespace, field_manager="one")
    assert applied.data.a == "one"
    other = dict(first, data={"a": "two"})
    try:
        again(maps.server_side_apply, body=other, namespace=namespace, field_manager="two")
    except ConflictError as error:
        assert 'conflict with "one"' in error.summary(), error.summary()
    else:
        raise AssertionError("two managers own one field")
    forced = again(maps.server_side_apply, body=other, namespace=namespace, field_manager="two", force_conflicts=True)
    assert forced.data.a == "two"
    events = found.watch(maps, namespace=namespace, name="dynamic", timeout=20)
    # A watch from nowhere in particular may begin a little before the last write.
    assert any(event["object"].data.a == "two" for event in events)
    listed = again(maps.get, namespace=namespace, label_selector="from=yaml")
    assert [item.metadata.name for item in listed.items] == ["from-yaml"]
    again(maps.delete, name="dynamic", namespace=namespace, settled=404)


def custom(namespace):
    """A kind of our own, from its definition to its objects' status and scale."""
    group = "python.clients.example.com"
    number = {"type": "integer", "minimum": 0}
    spec = {"type": "object", "required": ["size"], "properties": {"size": number, "color": {"type": "string", "default": "blue"}}}
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": {"size": number}}}}
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}, "scale": scale},
    }
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"boxes.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"}, "versions": [version]},
    }
    definitions = client.ApiextensionsV1Api()
    again(definitions.create_custom_resource_definition, body, settled=409)

    def established():
        conditions = again(definitions.read_custom_resource_definition, f"boxes.{group}").status.conditions or []
        return any(one.type == "Established" and one.status == "True" for one in conditions)

    awaited(established, "the kind")
    place = (group, "v1", namespace, "boxes")
    objects = client.CustomObjectsApi()
    box = {"apiVersion": f"{group}/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": {"size": 1}}
    # Another server may have learned of the kind a moment later.
    awaited(lambda: made(objects, place, box), "an object of the kind")
    read = again(objects.get_namespaced_custom_object, *place, "b")
    assert read["spec"] == {"size": 1, "color": "blue"}, read
    wrong = refused(objects.create_namespaced_custom_object, *place, dict(box, metadata={"name": "c"}, spec={"size": -1}))
    assert wrong.status == 422 and "spec.size" in wrong.body, wrong
    status = again(objects.patch_namespaced_custom_object_status, *place, "b", {"status": {"size": 4}, "spec": {"size": 8}})
    assert (status["spec"]["size"], status["status"]["size"]) == (1, 4), status
    scaled = again(objects.patch_namespaced_custom_object_scale, *place, "b", {"spec": {"replicas": 6}})
    assert scaled["kind"] == "Scale" and scaled["spec"]["replicas"] == 6 and scaled["status"]["replicas"] == 4, scaled
    events = watch.Watch().stream(objects.list_namespaced_custom_object, *place, timeout_seconds=20)
    assert any(event["object"]["spec"]["size"] == 6 for event in events)
    again(definitions.delete_custom_resource_definition, f"boxes.{group}", settled=404)


def made(objects, place, box):
    try:
        objects.create_namespaced_custom_object(*place, box)
    except client.ApiException as error:
        return error.status == 409
    return True
