"""Two candidates, each a process; the one that leads is killed and the other leads."""

import os
import subprocess
import sys
import time

from kubernetes import client, config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from urllib3.exceptions import HTTPError

from faults import again, awaited, fault

LOCK = "python-election"
LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 6, 4, 1
CANDIDATES = ("one", "two")


def all_of(namespace):
    leases = client.CoordinationV1Api()
    script = os.path.abspath(__file__)
    candidates = {
        name: subprocess.Popen([sys.executable, script, namespace, name], stdin=subprocess.DEVNULL) for name in CANDIDATES
    }

    def lease():
        try:
            return again(leases.read_namespaced_lease, LOCK, namespace)
        except client.ApiException as error:
            assert error.status == 404, error
            return None

    def renewed(by=None):
        """The holder, when it renews the lease after now."""
        before = lease()
        time.sleep(RETRY_SECONDS)
        now = awaited(lease, "the lease")
        fresh = before is not None and now.spec.renew_time != before.spec.renew_time
        return fresh and by in (None, now.spec.holder_identity) and now.spec.holder_identity

    try:
        awaited(renewed, "a leader")
        fault("kill")
        leader = awaited(renewed, "a leader after the server's end")
        candidates[leader].kill()
        candidates[leader].wait()
        other = next(name for name in CANDIDATES if name != leader)
        awaited(lambda: renewed(other), "the other one")
    finally:
        for candidate in candidates.values():
            candidate.kill()
            candidate.wait()


def stand(namespace, name):
    """A candidate that stands again when it loses."""
    config.load_kube_config()
    while True:
        lock = LeaseLock(LOCK, namespace, name)
        rules = electionconfig.Config(lock, LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS, lambda: None, lambda: None)
        try:
            leaderelection.LeaderElection(rules).run()
        except HTTPError:
            # The library leaves what is no answer to its caller.
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    stand(*sys.argv[1:])
