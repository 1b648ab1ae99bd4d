#!/usr/bin/env bash
# The system of deploy/README.md's part about three nodes, on three machines that are network namespaces of this one:
# `make three-hosts-demo` calls this with the binary. Every command of that part is read from there and typed as it stands.
#
# During a rollout to 1,000 devices one machine loses its power: its cable is out before its processes are gone, so nobody
# hears of their end. It comes back with a record of a log that is damaged, is refused, and begins anew with an empty
# folder, as the README says. Then another machine loses its power, so that what is accepted from there on rests on what the
# new replica was given. Closing numbers as in `make cluster-demo`. Exits 1 if one is off.
source "$(dirname "$0")/lib.sh"
if [ "$(id -u)" != 0 ] || ! command -v ip >/dev/null || ! ip netns add "drover-$$-try" 2>/dev/null; then
  echo "SKIPPED: three-hosts-demo makes network namespaces; it needs root and ip (iproute2), and a kernel that lets it"
  exit 0
fi
ip netns del "drover-$$-try"
begin three-hosts-demo "$1" hosts

# A machine that is gone without a word is missed by its connections: 6 s for a service's, 15 s for a leaf's.
machine_max=${DROVER_DEMO_MACHINE_MAX:-30s}

say "Three machines: on each a hub node and all services, on one a device leaf"
prepare
on 0
typed 'drover secrets create'
"${at[@]}" "$line" >/dev/null
secrets=$dir/machine-0/home/secrets
for n in 1 2 3; do cp "$secrets"/{hub.json,broker.crt,broker.key,ca.crt,service.json} "$dir/machine-$n/home/"; done
cp "$secrets/leaf.json" "$dir/machine-1/home/"
cp "$secrets"/{service.json,client.json,ca.crt} "$dir/machine-0/home/"
for service in "${services[@]}"; do revive "$service"; done
on 0
typed 'drover init'
"${at[@]}" "$line"
while IFS= read -r line; do
  case $line in 'export DROVER_SERVER'*) eval "$line" ;; esac
done <<<"$part"
[ -n "${DROVER_SERVER:-}" ] || die "deploy/README.md does not say where an operator connects"
export DROVER_CREDS=$secrets/client.json DROVER_TLS_CA=$secrets/ca.crt mqtt=mqtt://127.0.0.1:1883 nats=nats://127.0.0.1:4223
ready "${services[@]}"
note "all are ready"
again partitions

# lose MACHINE takes its power away.
lose() {
  local all
  all=$(working)
  say "Machine $1 loses its power"
  fault "machine $1 is lost" "$all" "$machine_max"
  unplug "$1"
  kill9 "hub-$1"
  kill9 "node-$1"
  over
}

fleet 600
await_released 100
lose 3
await_released 300
note "300 of $devices things are released"

say "Machine 3 comes back with a damaged record"
block=("$dir"/machine-3/disk/hub/hub/jetstream/*/streams/log-rollout-0001/msgs/1.blk)
printf '\x63' | dd of="${block[0]}" bs=1 seek=4 conv=notrunc status=none
plug 3
revive hub-3
if wait "${pids[hub-3]}"; then die "the hub's node runs on a damaged log"; fi
tail -n 1 "$dir/hub-3.log"
rm -rf "$dir/machine-3/disk/hub"
revive hub-3
revive node-3
ready hub-3 node-3
note "it began with an empty folder, and is ready"
released
[ "$released" -lt $((devices - 200)) ] || die "the rollout is nearly over: what follows shows nothing"
lose 2
plug 2
revive hub-2
revive node-2
ready hub-2 node-2
released
[ "$released" -lt "$devices" ] || die "the rollout was over before machine 2 was back: that shows nothing"

closing
