#!/usr/bin/env bash
# The main job, as an operator would run it: `make demo` calls this with the binary.
#
# Starts the system in a new folder, registers 1,000 things in a group, runs 1,000 simulated devices through the device
# leaf (half MQTT at QoS 1, half NATS), one job at the group at 6,000 things a minute, 5 % of the devices programmed to
# fail; stops the system; then a second process recounts the log. Exits 1 if any number is off.
set -euo pipefail

drover=$(realpath "$1")
data=$(mktemp -d "${TMPDIR:-/tmp}/drover-demo.XXXXXX")
devices=1000
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done' EXIT

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }

say "Starting Drover in $data"
"$drover" up --data "$data" --nats-port 0 --leaf-port 0 --mqtt-port 0 --device-port 0 --http-port 0 --monitor-port 0 >"$data.log" 2>&1 &
up=$!
pids+=("$up")
for _ in $(seq 300); do
  [ -e "$data/endpoints.json" ] && break
  kill -0 "$up" 2>/dev/null || { cat "$data.log"; exit 1; }
  sleep 0.1
done
[ -e "$data/endpoints.json" ] || { echo "drover up was not ready within 30 s"; cat "$data.log"; exit 1; }
run() { "$drover" --data "$data" "$@"; }

say "Registering $devices things in the group press-line"
run group create press-line --description "The demo's devices"
run thing create --prefix press- --count "$devices"
seq -f 'press-%04g' 0 $((devices - 1)) | run group add press-line --from -

say "Connecting $devices simulated devices through the device leaf, half MQTT, half NATS"
"$drover" --data "$data" simulate --devices "$devices" --prefix press- --mixed --fail-rate 0.05 --work-time 200ms --seed 7 \
  --journal "$data/devices.jsonl" --until-jobs 1 >"$data/simulate.log" 2>&1 &
sim=$!
pids+=("$sim")

say "Creating the job demo"
run job create demo --document '{"operation":"install","version":"2.4.0"}' --target group/press-line --per-minute 6000
run job watch demo
wait "$sim" || { cat "$data/simulate.log"; exit 1; }

say "Stopping Drover; another process recounts the log"
kill -TERM "$up"
wait "$up" || { echo "drover up did not stop cleanly"; tail -20 "$data.log"; exit 1; }
pids=()
status=0
"$drover" audit job demo --data "$data" --journal "$data/devices.jsonl" \
  --expect SUCCEEDED=950 --expect FAILED=50 --expect transitions=3000 || status=$?

cat <<EOF

The folder stays. To look at it:
  $drover up --data $data
  $drover job describe demo --data $data
  $drover events --job demo --data $data
EOF
exit "$status"
