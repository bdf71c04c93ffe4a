"""What programs do with the package `kubernetes`, over the server of the kubeconfig; ends with an error when something fails."""

import time
import uuid

from kubernetes import client, config

import crud
import election
import informing
from faults import again


def main():
    config.load_kube_config()
    core = client.CoreV1Api()
    namespace = f"clients-python-{uuid.uuid4().hex[:8]}"
    again(core.create_namespace, client.V1Namespace(metadata=client.V1ObjectMeta(name=namespace)), settled=409)
    for part in (crud, informing, election):
        started = time.monotonic()
        part.all_of(namespace)
        print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    again(core.delete_namespace, namespace, settled=404)
    print("the script is through", flush=True)


if __name__ == "__main__":
    main()
