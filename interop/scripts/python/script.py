"""Reads, writes, watches and leases through the etcd3 package; ends with an error when one fails."""
import sys
import threading

import etcd3

client = etcd3.client(host="127.0.0.1", port=int(sys.argv[1]), timeout=10)

# Write and read.
client.put("python/a", "one")
value, metadata = client.get("python/a")
assert value == b"one" and metadata.version == 1, (value, metadata)
client.put("python/b", "two")
assert [value for value, _ in client.get_prefix("python/")] == [b"one", b"two"]
assert [value for value, _ in client.get_prefix("python/", sort_order="descend")] == [b"two", b"one"]

# Compare and swap.
assert client.replace("python/a", "one", "uno")
assert not client.replace("python/a", "one", "eins")
succeeded, _ = client.transaction(
    compare=[client.transactions.value("python/a") == "uno", client.transactions.version("python/c") == 0],
    success=[client.transactions.put("python/c", "three"), client.transactions.get("python/a")],
    failure=[],
)
assert succeeded

# Watch, from now on and from the past.
first_revision = client.get("python/a")[1].create_revision
events, cancel = client.watch_prefix("python/watched/")
client.put("python/watched/x", "1")
client.delete("python/watched/x")
put, delete = next(events), next(events)
assert isinstance(put, etcd3.events.PutEvent) and put.value == b"1", put
assert isinstance(delete, etcd3.events.DeleteEvent) and delete.key == b"python/watched/x", delete
cancel()
past, cancel = client.watch("python/a", start_revision=first_revision)
assert [next(past).value, next(past).value] == [b"one", b"uno"]
cancel()

# Leases: kept alive, revoked, and left to run out.
lease = client.lease(600)
client.put("python/leased", "x", lease=lease)
assert 0 < lease.remaining_ttl <= 600 and lease.granted_ttl == 600
assert list(lease.keys) == [b"python/leased"]
assert list(lease.refresh())[0].TTL == 600
lease.revoke()
assert client.get("python/leased") == (None, None)
gone = threading.Event()
client.add_watch_callback(
    "python/short",
    lambda response: [gone.set() for event in response.events if isinstance(event, etcd3.events.DeleteEvent)],
)
client.put("python/short", "x", lease=client.lease(1))
assert gone.wait(30), "the lease did not run out"

# A lock, whose key hangs on a lease.
with client.lock("python", ttl=60) as lock:
    assert lock.is_acquired()
assert not lock.is_acquired()

client.compact(client.get("python/c")[1].mod_revision)
assert len(list(client.members)) == int(sys.argv[2])
assert client.status().version
client.delete_prefix("python/")
assert list(client.get_prefix("python/")) == []
print("the etcd3 script is through")
