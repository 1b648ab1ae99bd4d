#!/usr/bin/env bash
# The main job on a system of many processes, while some are killed: `make cluster-demo` calls this with the binary,
# `make compose-demo` with the word containers as well.
#
# Starts the system of docker-compose.yml, runs one job on 1,000 simulated devices as `make demo` does, and during the
# rollout kills -9 a process that owns homes, then the one that owns log.rollout, then the hub's node that leads a home's
# log; each is started again after a few seconds, as an orchestrator would. Then a process of its own recounts the logs:
# the same closing numbers, and for each kill for how long each log that it hit stood still. Exits 1 if a number is off, if
# a log stood still for longer than the limits below, or if a request of a device went unanswered for no reason that
# shows (drover audit job --help).
source "$(dirname "$0")/lib.sh"
begin cluster-demo "$1" "${2:-processes}"

# An owner is replaced when its lease has run out (1.5 s) and another has taken it: 2 s, on a machine that has time for it.
owner_max=${DROVER_DEMO_OWNER_MAX:-2s}
# A hub's node is replaced when the other two have noticed and elected: 4 to 9 s, by NATS, and then the owners go on.
broker_max=${DROVER_DEMO_BROKER_MAX:-15s}

# Containers take longer to kill and to start: the rollout must outlast that.
pace=1500
[ "${2:-processes}" = processes ] || pace=900

# hit SERVICE LOGS MAX SECONDS kills a service, and starts it again after so many seconds.
hit() {
  fault "kill -9 $1" "$2" "$3"
  kill9 "$1"
  over
  sleep "$4"
  revive "$1"
  note "$1 is started again"
  released
  [ "$released" -lt "$devices" ] || die "the rollout was over before $1 was started again: that shows nothing"
}

birth "${2:-processes}"
fleet "$pace"

await_released 200
owner_of execution.0
victim=$owner
owned_by "$victim"
say "Killing $victim, which owns $logs"
hit "$victim" "$logs" "$owner_max" 3

await_released 450
owner_of rollout
victim=$owner
say "Killing $victim, which owns log.rollout"
hit "$victim" rollout "$owner_max" 3

await_released 650
everything=$(working)
leader_of execution.0
say "Killing $leader, which leads the streams of $led"
hit "$leader" "$everything" "$broker_max" 5 # leases and the leaf's link may have been there too

if curl --help all 2>/dev/null | grep -q aws-sigv4; then
  say "Asking AWS's API for the job"
  signed /jobs/demo
  [[ $answer == *'"jobId":"demo"'* ]] || die "it answers $answer"
  note "$api/jobs/demo: ${#answer} bytes, asked by curl, signed for AWS"
else
  note "no curl here that signs requests: AWS's API is not asked"
fi

closing
