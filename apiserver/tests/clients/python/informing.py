"""An informer hears of every change once and in order, also through cut connections and killed servers."""

import logging

from kubernetes import client, informer, watch

from faults import again, awaited, fault

SELECTOR = "heard=yes"


def all_of(namespace):
    logging.disable(logging.ERROR)
    informs(namespace)
    initial_events(namespace)


def body(name, value):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"heard": "yes"}), data={"value": str(value)})


class Heard:
    """What an informer told."""

    def __init__(self, shared):
        self.events = []
        for kind in (informer.ADDED, informer.MODIFIED, informer.DELETED):
            shared.add_event_handler(kind, lambda one, kind=kind: self.note(kind, one))

    def note(self, kind, one):
        self.events.append((kind, one.metadata.name, int(one.metadata.resource_version), one.data["value"]))

    def has(self, kind, name, value):
        return any((event[0], event[1], event[3]) == (kind, name, str(value)) for event in list(self.events))


def informs(namespace):
    core = client.CoreV1Api()
    for number in range(3):
        again(core.create_namespaced_config_map, namespace, body(f"first-{number}", 0), settled=409)
    shared = informer.SharedInformer(core.list_namespaced_config_map, namespace=namespace, label_selector=SELECTOR)
    heard = Heard(shared)
    shared.start()
    awaited(lambda: len(heard.events) == 3, "the first list")
    for turn, what in enumerate(["nothing", "cut", "kill", "kill"], start=1):
        if what != "nothing":
            fault(what)
        # These come while the informer's connection is gone.
        for number in range(3):
            again(core.replace_namespaced_config_map, f"first-{number}", namespace, body(f"first-{number}", turn))
        again(core.create_namespaced_config_map, namespace, body(f"turn-{turn}", turn), settled=409)
        again(core.delete_namespaced_config_map, f"turn-{turn}", namespace, settled=404)
        awaited(lambda: heard.has("DELETED", f"turn-{turn}", turn), f"the end of turn {turn}")
        for number in range(3):
            assert heard.has("MODIFIED", f"first-{number}", turn), (turn, heard.events)
    versions = [version for _, _, version, _ in heard.events[3:]]
    assert versions == sorted(versions) and len(set(versions)) == len(versions), heard.events
    kept = {one.metadata.name: one.data["value"] for one in shared.cache.list()}
    assert kept == {f"first-{number}": "4" for number in range(3)}, kept
    awaited(lambda: stopped(core, namespace, shared), "the informer's end")


def stopped(core, namespace, shared):
    """An informer looks whether it shall end when it is told something."""
    shared._stop_event.set()
    again(core.patch_namespaced_config_map, "first-0", namespace, {"data": {"value": "end"}})
    shared.stop()
    return True


def initial_events(namespace):
    """The list as events, and the mark behind them."""
    core = client.CoreV1Api()
    stream = watch.Watch().stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector=SELECTOR,
        send_initial_events=True,
        allow_watch_bookmarks=True,
        resource_version_match="NotOlderThan",
        timeout_seconds=20,
    )
    events = [next(stream) for _ in range(4)]
    assert [event["type"] for event in events] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"], events
    mark = events[3]["raw_object"]["metadata"]
    assert mark["annotations"] == {"k8s.io/initial-events-end": "true"} and int(mark["resourceVersion"]) > 0, mark
