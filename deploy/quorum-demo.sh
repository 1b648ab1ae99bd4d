#!/usr/bin/env bash
# Two of the hub's three nodes are killed at once and are away for 20 s, during a rollout: `make quorum-demo` calls this
# with the binary.
#
# Meanwhile nothing can be accepted, and owners do not know what became of their last append. When the nodes are back,
# everything goes on by itself; then a process of its own recounts the logs against the devices' journal: nothing that
# was acknowledged is lost, no device ran its job twice, and all ended. Exits 1 otherwise, or if a log stood still for
# longer than the limit below.
source "$(dirname "$0")/lib.sh"
begin quorum-demo "$1" "${2:-processes}"

# The 20 s, and then an election, the owners' next try, and the devices'.
quorum_max=${DROVER_DEMO_QUORUM_MAX:-50s}

birth "${2:-processes}"
fleet 1500

await_released 300
say "Killing two of the three hub nodes for 20 s"
fault "kill -9 hub-2 and hub-3" "$(working)" "$quorum_max"
kill9 hub-2
kill9 hub-3
sleep 20
revive hub-2
revive hub-3
ready hub-2 hub-3
over
released
[ "$released" -lt "$devices" ] || die "the rollout was over before the nodes were back: it shows nothing"
note "they are back; $released of $devices things were released before"

closing
