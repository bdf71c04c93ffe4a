#!/bin/bash
# A leader that was paused renews leases which its successor has revoked: https://github.com/etcd-io/etcd/issues/15247
#
# Usage: renewal-by-a-past-leader.sh [ETCD]. Needs etcd and etcdctl in the search path. Whether the old leader reads its
# clients' or its successor's messages first is a race, so it tries up to ten times, 15 s each. Exit code 1: seen.
set -u
export ETCDCTL_API=3
etcd=${1:-etcd}
leases_max=40

ctl() { etcdctl --endpoints="127.0.0.1:2379$1" "${@:2}"; }

# Which of these members leads.
leader() {
  for i in "$@"; do
    ctl "$i" --command-timeout=1s endpoint status 2>/dev/null | grep -q ', true,' && echo "$i" && return
  done
  return 1
}

try() {
  local folder old new i lease
  local members=() keepers=() leases=()
  folder=$(mktemp -d)
  for i in 1 2 3; do
    "$etcd" --name "m$i" --data-dir "$folder/m$i" \
      --initial-cluster m1=http://127.0.0.1:23801,m2=http://127.0.0.1:23802,m3=http://127.0.0.1:23803 \
      --listen-peer-urls "http://127.0.0.1:2380$i" --initial-advertise-peer-urls "http://127.0.0.1:2380$i" \
      --listen-client-urls "http://127.0.0.1:2379$i" --advertise-client-urls "http://127.0.0.1:2379$i" \
      >"$folder/m$i.log" 2>&1 &
    members[i]=$!
  done
  until old=$(leader 1 2 3); do sleep 0.2; done

  # Each client has a stream to the leader and renews its lease every 5 s.
  for i in $(seq $leases_max); do
    lease=$(ctl "$old" lease grant 15 | cut -d' ' -f2)
    leases+=("$lease")
    etcdctl --endpoints="127.0.0.1:2379$old" lease keep-alive "$lease" >"$folder/$lease" 2>&1 &
    keepers+=($!)
  done
  for lease in "${leases[@]}"; do until [ -s "$folder/$lease" ]; do sleep 0.1; done; done

  kill -STOP "${members[old]}"
  until new=$(leader $(seq 3 | grep -v "$old")); do sleep 0.2; done
  for lease in "${leases[@]}"; do
    ctl "$new" lease revoke "$lease" >/dev/null || return 2
    : >"$folder/$lease"
  done
  # Time for each client to send a renewal, which waits for the old leader.
  sleep 5
  kill -CONT "${members[old]}"
  sleep 3
  renewed=$(cd "$folder" && grep -l keepalived -- "${leases[@]}" | wc -l)
  kill "${keepers[@]}" "${members[@]}" 2>/dev/null
  wait
  rm -rf "$folder"
}

for number in $(seq 10); do
  try || exit 2
  echo "try $number: $renewed of $leases_max leases renewed after their revoke had been answered"
  [ "$renewed" -eq 0 ] || exit 1
done
