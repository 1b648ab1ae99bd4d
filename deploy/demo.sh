#!/usr/bin/env bash
# The main job, as an operator would run it: `make demo` calls this with the binary.
#
# Starts the system in a new folder, registers 1,000 things in a group, runs 1,000 simulated devices through the device
# leaf (half MQTT at QoS 1, half NATS), one job at the group at 6,000 things a minute, 5 % of the devices programmed to
# fail; stops the system; then a second process recounts the log. Exits 1 if any number is off.
source "$(dirname "${BASH_SOURCE[0]}")/single.sh"

devices=1000
begin demo "$1"
register "$devices"

say "Connecting $devices simulated devices through the device leaf, half MQTT, half NATS"
simulate "$devices" --mixed --fail-rate 0.05 --work-time 200ms --journal "$data/devices.jsonl" --until-jobs 1

say "Creating the job demo"
run job create demo --document '{"operation":"install","version":"2.4.0"}' --target group/press-line --per-minute 6000
run job watch demo
wait "$sim" || { cat "$data/simulate.log"; exit 1; }

halt
status=0
run audit job demo --journal "$data/devices.jsonl" --expect SUCCEEDED=950 --expect FAILED=50 --expect transitions=3000 || status=$?

cat <<EOF

The folder stays. To look at it:
  $drover up --data $data
  $drover job describe demo --data $data
  $drover events --job demo --data $data
EOF
exit "$status"
