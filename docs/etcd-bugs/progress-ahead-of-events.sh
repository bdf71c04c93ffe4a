#!/bin/bash
# etcd 3.4 tells a watch of a revision whose events it has not sent yet: https://github.com/etcd-io/etcd/issues/15220
#
# Needs etcd and etcdctl in the search path, and python3. Takes half a minute. Exit code 1: seen.
set -u
export ETCDCTL_API=3
client=http://127.0.0.1:23791
folder=$(mktemp -d)
ctl() { etcdctl --endpoints="$client" "$@"; }

etcd --data-dir "$folder/data" --listen-client-urls "$client" --advertise-client-urls "$client" \
  --listen-peer-urls http://127.0.0.1:23801 >"$folder/log" 2>&1 &
member=$!
until ctl endpoint health >/dev/null 2>&1; do sleep 0.1; done

{
  echo 'watch a --prefix'
  while kill -0 "$member" 2>/dev/null; do
    echo progress
    sleep 0.005
  done
} | etcdctl --endpoints="$client" watch --interactive --write-out=json >"$folder/watched" 2>/dev/null &
watch=$!
# A thousand writes a second under the watched prefix.
timeout 25 etcdctl --endpoints="$client" check perf --load=m --prefix a >/dev/null 2>&1
kill "$member" "$watch"
wait

python3 - "$folder/watched" <<'PYTHON'
import json, sys

promised = progress = late = events = 0
for line in open(sys.argv[1]):
    if not line.startswith("{"):
        continue
    response = json.loads(line)
    if not response["Events"]:
        progress += 1
        promised = max(promised, response["Header"]["revision"])
    for event in response["Events"]:
        events += 1
        late += event["kv"]["mod_revision"] <= promised
print(f"{late} of {events} events came after a progress response for their revision ({progress} of those)")
sys.exit(late > 0)
PYTHON
seen=$?
rm -rf "$folder"
exit "$seen"
