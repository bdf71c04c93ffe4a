"""A controller with a kind of its own, over Mainstay's gRPC API: every Greeting has a ConfigMap that says it.

  pip install grpcio grpcio-tools
  python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. mainstay/api.proto
  python greetings.py 127.0.0.1:6443 ca.crt TOKEN greetings.json
"""

import json
import sys
import time

import grpc

from mainstay import api_pb2 as api
from mainstay import api_pb2_grpc

OPTIONS = api.WriteOptions(field_manager="greeter")
DEFINITIONS = {"group": "apiextensions.k8s.io", "version": "v1", "resource": "customresourcedefinitions"}
GREETINGS = {"group": "example.com", "version": "v1", "resource": "greetings"}


def apply(objects, target, value):
    """Makes the object what it has to be, whether it is there or not."""
    text = json.dumps(value).encode()
    objects.Apply(api.ApplyRequest(target=target, configuration=text, options=OPTIONS, force=True))


def decide(greeting):
    """The ConfigMap that a greeting has."""
    metadata = greeting["metadata"]
    owner = {
        "apiVersion": "example.com/v1", "kind": "Greeting", "controller": True,
        "name": metadata["name"], "uid": metadata["uid"],
    }
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"text": f"Hello, {greeting['spec']['to']}!"},
        "metadata": {"name": metadata["name"], "ownerReferences": [owner]},
    }


def sync(objects, greeting):
    metadata = greeting["metadata"]
    at = api.Target(version="v1", resource="configmaps", namespace=metadata["namespace"], name=metadata["name"])
    apply(objects, at, decide(greeting))
    print("said", metadata["name"], flush=True)


def follow(objects, revision):
    """Deals with greetings until the watch ends, and tells where the next one begins."""
    # Without a revision, all greetings that there are come first, and a bookmark after them.
    request = api.WatchRequest(
        target=api.Target(**GREETINGS), resource_version=revision, initial_events=not revision, bookmarks=True
    )
    told_all = bool(revision)
    for response in objects.Watch(request):
        for event in response.events:
            if event.type == api.EVENT_TYPE_ERROR:
                return "" if event.failure.reason == "Expired" else revision
            if event.type in (api.EVENT_TYPE_ADDED, api.EVENT_TYPE_MODIFIED):
                sync(objects, json.loads(event.object))
            told_all = told_all or event.initial_events_end
            if told_all:
                revision = event.resource_version
    return revision


def main(address, ca_file, token, definition_file):
    with open(ca_file, "rb") as file:
        tls = grpc.ssl_channel_credentials(file.read())
    with open(definition_file, "rb") as file:
        definition = json.load(file)
    credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
    alive = [("grpc.keepalive_time_ms", 5000), ("grpc.keepalive_timeout_ms", 3000)]
    with grpc.secure_channel(address, credentials, options=alive) as channel:
        objects = api_pb2_grpc.ObjectsStub(channel)
        name = definition["metadata"]["name"]
        apply(objects, api.Target(name=name, **DEFINITIONS), definition)
        revision = ""
        while True:
            try:
                revision = follow(objects, revision)
            except grpc.RpcError as error:
                # The kind is not served yet, the server is gone, or a write has failed: all greetings are looked at again.
                print("again:", error.code().name, error.details(), file=sys.stderr)
                revision = ""
                time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
