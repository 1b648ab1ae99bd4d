#!/usr/bin/env bash
# A job that is aborted, as an operator would see it: `make demo-abort` calls this with the binary.
#
# Starts the system in a new folder, registers 5,000 things in a group, runs 5,000 simulated devices, every tenth of which
# fails, and one job at the group at 30,000 things a minute that is to be aborted when 5 % of at least 200 executions have
# failed. Stops the system; then another process recounts the exported log, which shares no code with the service that
# releases: nothing may have been released by who could have known of the report that crossed the criterion, at most one
# release may be later than that report by the broker's clock, of no more things than the bound that was printed when the
# job was created. Exits 1 if the job is not CANCELED, if 2,000 things or more were released, or if the recount differs.
set -euo pipefail

drover=$(realpath "$1")
data=$(mktemp -d "${TMPDIR:-/tmp}/drover-abort.XXXXXX")
devices=5000
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done' EXIT

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
die() { printf 'abort-demo: %s\n' "$*" >&2; exit 1; }
run() { "$drover" --data "$data" "$@"; }

say "Starting Drover in $data"
"$drover" up --data "$data" --homes 2 --nats-port 0 --leaf-port 0 --mqtt-port 0 --device-port 0 --http-port 0 --monitor-port 0 >"$data.log" 2>&1 &
up=$!
pids+=("$up")
for _ in $(seq 300); do
  [ -e "$data/endpoints.json" ] && break
  kill -0 "$up" 2>/dev/null || { cat "$data.log"; exit 1; }
  sleep 0.1
done
[ -e "$data/endpoints.json" ] || { cat "$data.log"; die "drover up was not ready within 30 s"; }

say "Registering $devices things in the group press-line"
run group create press-line
run thing create --prefix press- --count "$devices"
seq -f 'press-%04g' 0 $((devices - 1)) | run group add press-line --from -

say "Connecting $devices simulated devices; every tenth fails"
"$drover" --data "$data" simulate --devices "$devices" --prefix press- --nats --fail-rate 0.1 --work-time 100ms --seed 7 >"$data/simulate.log" 2>&1 &
sim=$!
pids+=("$sim")
for _ in $(seq 600); do
  grep -q "5,\?000 of 5,\?000 connected" "$data/simulate.log" 2>/dev/null && break
  kill -0 "$sim" 2>/dev/null || { cat "$data/simulate.log"; exit 1; }
  sleep 0.1
done

say "Creating the job demo, aborted when 5 % of at least 200 executions have failed"
created=$(run job create demo --document '{"operation":"install","version":"2.4.0"}' --target group/press-line --per-minute 30000 \
  --abort FAILED:5%:200 --output json)
printf '%s\n' "$created"
[[ $created =~ \"abortBound\":\ ?([0-9]+) ]] || die "no bound was printed when the job was created"
bound=${BASH_REMATCH[1]}
status=0
run job watch demo || status=$?
[ "$status" -eq 1 ] || die "job watch ended with status $status; 1 says that the job failed"
run job describe demo
run explain job demo
kill "$sim" 2>/dev/null || true

say "Stopping Drover; another process recounts the log"
kill -TERM "$up"
wait "$up" || { tail -20 "$data.log"; die "drover up did not stop cleanly"; }
pids=()
"$drover" audit abort demo --data "$data" --bound "$bound" --below 2000
"$drover" audit job demo --data "$data"
