#!/bin/bash
# A watch from the revision that was compacted misses a deletion of just that revision:
# https://github.com/etcd-io/etcd/issues/18089
#
# Usage: deletion-lost-to-a-compaction.sh [ETCD]. Needs etcd and etcdctl in the search path. Exit code 1: seen.
set -u
export ETCDCTL_API=3
client=http://127.0.0.1:23791
folder=$(mktemp -d)
ctl() { etcdctl --endpoints="$client" "$@" >/dev/null; }

"${1:-etcd}" --data-dir "$folder/data" --listen-client-urls "$client" --advertise-client-urls "$client" \
  --listen-peer-urls http://127.0.0.1:23801 >"$folder/log" 2>&1 &
member=$!
until ctl endpoint health 2>/dev/null; do sleep 0.1; done

ctl put a 1               # revision 2
ctl del a                 # revision 3
ctl put b 1               # revision 4
ctl compact 3 --physical  # 3 is kept

etcdctl --endpoints="$client" watch '' --prefix --rev=3 >"$folder/watched" &
watch=$!
until grep -q PUT "$folder/watched"; do sleep 0.1; done
kill "$watch" "$member"
wait

if grep -q DELETE "$folder/watched"; then
  echo "the watch from revision 3 begins with the deletion of a"
  seen=0
else
  echo "the watch from revision 3 begins with the put of b at revision 4: the deletion of a is missing"
  seen=1
fi
rm -rf "$folder"
exit "$seen"
