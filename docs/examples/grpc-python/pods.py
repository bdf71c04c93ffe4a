"""Makes a pod, gives it a node, and watches it, over Mainstay's gRPC API.

  pip install grpcio grpcio-tools
  python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. mainstay/api.proto
  python pods.py 127.0.0.1:6443 ca.crt TOKEN
"""

import json
import sys

import grpc

from mainstay import api_pb2 as api
from mainstay import api_pb2_grpc

NAMESPACE = "default"


def failure(error):
    """Kubernetes' own words for a call that failed."""
    for key, value in error.trailing_metadata() or ():
        if key == "mainstay-failure-bin":
            return api.Failure.FromString(value)
    return api.Failure(message=error.details())


def target(name="", resource="pods"):
    return api.Target(version="v1", resource=resource, namespace=NAMESPACE, name=name)


def ensure_account(objects):
    """Pods want the service account `default`, which a cluster's controllers make; here there may be none."""
    account = json.dumps({"metadata": {"name": "default"}}).encode()
    try:
        objects.Create(api.CreateRequest(target=target(resource="serviceaccounts"), object=account))
    except grpc.RpcError as error:
        if failure(error).reason != "AlreadyExists":
            raise


def main(address, ca_file, token):
    with open(ca_file, "rb") as file:
        tls = grpc.ssl_channel_credentials(file.read())
    credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
    with grpc.secure_channel(address, credentials) as channel:
        objects = api_pb2_grpc.ObjectsStub(channel)
        ensure_account(objects)

        chunks = list(objects.List(api.ListRequest(target=target())))
        print("pods:", sum(len(chunk.objects) for chunk in chunks))
        revision = chunks[0].resource_version

        pod = {
            "metadata": {"name": "example-python"},
            "spec": {"containers": [{"name": "web", "image": "nginx"}]},
        }
        create = api.CreateRequest(target=target(), object=json.dumps(pod).encode())
        made = objects.Create(create)
        print("created", made.name, "at", made.resource_version)
        try:
            objects.Create(create)
        except grpc.RpcError as error:
            print("again:", error.code().name, failure(error).reason)

        binding = api.Binding(namespace=NAMESPACE, name=made.name, node="n1")
        for outcome in objects.Bind(api.BindRequest(bindings=[binding])).outcomes:
            print("bound" if not outcome.HasField("failure") else outcome.failure.message)

        objects.Delete(
            api.DeleteRequest(
                target=target(made.name), options=api.DeleteOptions(grace_period_seconds=0)
            )
        )
        watch = objects.Watch(api.WatchRequest(target=target(), resource_version=revision))
        for event in (event for response in watch for event in response.events):
            print(api.EventType.Name(event.type), "at", event.resource_version)
            if event.type in (api.EVENT_TYPE_DELETED, api.EVENT_TYPE_ERROR):
                watch.cancel()
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
