#!/usr/bin/env bash
# Every process of the system is stopped in order and started again, one by one, during a rollout: `make rolling-demo`
# calls this with the binary. It is how an upgrade goes (deploy/README.md).
#
# Brokers first, then the leaf, then the services, each once the one before is ready again. Then a process of its own
# recounts the logs: no device failed but those that are programmed to, no report is lost, and none went unanswered but
# while its home was handed over or the leaf was away. Exits 1 otherwise, or if a log stood still for longer than the
# limits below.
source "$(dirname "$0")/lib.sh"
begin rolling-demo "$1" "${2:-processes}"

# A hub's node hands over what it leads, an owner its logs, at their leisure; behind a leaf all devices connect anew.
hub_max=${DROVER_DEMO_HUB_STOP_MAX:-5s}
leaf_max=${DROVER_DEMO_LEAF_STOP_MAX:-15s}
owner_max=${DROVER_DEMO_OWNER_STOP_MAX:-2s}

birth "${2:-processes}"
fleet 600

# restart SERVICE LOGS MAX
restart() {
  if [ -n "$2" ]; then fault "restart $1" "$2" "$3"; else note "restart $1"; fi
  terminate "$1"
  revive "$1"
  ready "$1"
  case $1 in leaf-*) sleep 2; await_connected ;; esac # behind a leaf it lasts until the devices are back
  [ -z "$2" ] || over
}

say "Restarting every process, one by one"
await_released 60
everything=$(working)
for service in "${services[@]}"; do
  case $service in
    init) ;;
    hub-*) restart "$service" "$everything" "$hub_max" ;;
    leaf-*) restart "$service" "$everything" "$leaf_max" ;;
    *) owned_by "$service"; restart "$service" "$logs" "$owner_max" ;;
  esac
done
released
[ "$released" -lt "$devices" ] || die "the rollout was over before the last restart: it shows nothing"
note "all were restarted, $released of $devices things released meanwhile"

closing
