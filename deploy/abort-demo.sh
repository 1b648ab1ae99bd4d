#!/usr/bin/env bash
# A job that is aborted, as an operator would see it: `make demo-abort` calls this with the binary.
#
# Starts the system in a new folder, registers 5,000 things in a group, runs 5,000 simulated devices, every tenth of which
# fails, and one job at the group at 30,000 things a minute that is to be aborted when 5 % of at least 200 executions have
# failed. Stops the system; then another process recounts the exported log, which shares no code with the service that
# releases: nothing may have been released by who could have known of the report that crossed the criterion, at most one
# release may be later than that report by the broker's clock, of no more things than the bound that was printed when the
# job was created. Exits 1 if the job is not CANCELED, if 2,000 things or more were released, or if the recount differs.
source "$(dirname "${BASH_SOURCE[0]}")/single.sh"

devices=5000
begin abort "$1" --homes 2
register "$devices"

say "Connecting $devices simulated devices; every tenth fails"
simulate "$devices" --nats --fail-rate 0.1 --work-time 100ms
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

halt
run audit abort demo --bound "$bound" --below 2000
run audit job demo
