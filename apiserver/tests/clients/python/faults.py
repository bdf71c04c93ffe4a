"""What goes wrong on purpose, and what a script may do about it."""

import os
import sys
import time

import urllib3
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

CALL_SECONDS_MAX = 60
AWAIT_SECONDS_MAX = 60
PAUSE_SECONDS = 0.05
# What a server answers that is about to end or has just begun, and what is not the caller's fault.
PASSING = (429, 500, 503, 504)

urllib3.disable_warnings()


def fault(name):
    """Has whoever started the script break something, and returns when it is broken."""
    if os.environ.get("CLIENTS_FAULTS") != "asked":
        return
    print("fault:", name, flush=True)
    assert sys.stdin.readline().strip() == "done"


def again(call, *args, settled=None, **kwargs):
    """Calls until there is an answer. An earlier call may have had its effect though it failed; then a later one is refused with
    the code `settled`, and the answer is None."""
    until = time.monotonic() + CALL_SECONDS_MAX
    failed = False
    while True:
        try:
            return call(*args, **kwargs)
        except ApiException as error:
            if failed and error.status == settled:
                return None
            if error.status not in PASSING or time.monotonic() > until:
                raise
        except HTTPError:
            if time.monotonic() > until:
                raise
        failed = True
        time.sleep(PAUSE_SECONDS)


def refused(call, *args, **kwargs):
    """The refusal of a call that has to be refused."""
    try:
        again(call, *args, **kwargs)
    except ApiException as error:
        return error
    raise AssertionError(f"{call} was not refused")


def awaited(condition, what):
    """Waits until the condition holds and returns what it gave."""
    until = time.monotonic() + AWAIT_SECONDS_MAX
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(PAUSE_SECONDS)
