# What the demos of a system of many processes have in common. They source this file with the path of the binary; bash
# and that binary are all they need.
#
# The system is the one of docker-compose.yml, as processes (processes.sh) or as containers (containers.sh): each of the
# two defines prepare, launch, await, kill9, terminate, revive, log_of and cleanup. Or it is three machines (hosts.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

began=$SECONDS
say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
note() { printf '  %3d s  %s\n' $((SECONDS - began)) "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
run() { "$drover" "$@"; }

# now_ms sets now to milliseconds since the Unix epoch.
now_ms() { local us=${EPOCHREALTIME/[.,]/}; now=${us%???}; }

# The services of docker-compose.yml, in their order, with their command lines: words with tabs between them.
services=()
declare -A commands
read_compose() {
  local line section='' name='' words
  while IFS= read -r line; do
    case $line in
      [a-z]*:) section=${line%:} ;;
      '  '[a-z]*:) if [ "$section" = services ]; then name=${line#  } name=${name%:} services+=("$name"); fi ;;
      '    command: ['*']')
        words=${line#*[} words=${words%]} words=${words#\"} words=${words%\"}
        commands[$name]=${words//\", \"/$'\t'} ;;
    esac
  done <docker-compose.yml
  local service
  for service in "${services[@]}"; do
    [ -n "${commands[$service]:-}" ] || die "docker-compose.yml: the command of $service is not on one line"
  done
}

# services_of ROLE: the services whose names begin with it.
services_of() { local s; for s in "${services[@]}"; do [[ $s == "$1"-* ]] && echo "$s"; done; }

# again ARGUMENT… runs a command, again while it is unavailable (exit status 4): an owner, a broker or the read models may
# be on their way back. A command that is unavailable has changed nothing.
again() {
  local tries=0 status
  while true; do
    status=0
    run "$@" 2>"$dir/again.log" || status=$?
    tries=$((tries + 1))
    if [ "$status" -eq 0 ]; then return; fi
    if [ "$status" -ne 4 ] || [ "$tries" -ge 100 ]; then cat "$dir/again.log" >&2; return "$status"; fi
    sleep 0.3
  done
}

# owned_by SERVICE sets logs to what it owns, with commas between them.
owned_by() {
  local log owner rest
  logs=''
  while read -r log owner rest; do
    case $log in '') break ;; LOG) continue ;; esac
    [ "${owner%\*}" = "$1" ] && logs+="${logs:+,}$log"
  done <<<"$(again partitions)"
  return 0
}

# owner_of LOG sets owner to the service that owns it.
owner_of() {
  local log who rest
  owner=''
  while read -r log who rest; do
    case $log in '') break ;; esac
    [ "$log" = "$1" ] && owner=${who%\*}
  done <<<"$(again partitions)"
  [ -n "$owner" ] && [ "$owner" != - ] || die "nobody owns log $1"
}

from_hub() { printf '%s\n' --nats "$DROVER_SERVER" --creds "$secrets/service.json" --tls-ca "$secrets/ca.crt"; }

# leader_of LOG sets leader to the hub's node that leads it, and led to all logs that this node leads.
leader_of() {
  local line fields rows='' log
  leader='' led=''
  rows=$(again audit log list $(from_hub))
  for log in "$1" ''; do
    while read -r line; do
      read -ra fields <<<"$line"
      [ "${fields[0]}" = "$log" ] && leader=${fields[-1]}
      [ -z "$log" ] && [ "${fields[-1]}" = "$leader" ] && led+="${led:+,}${fields[0]}"
    done <<<"$rows"
  done
  [ -n "$leader" ] && [ "$leader" != - ] || die "no node leads log $1"
}

# working prints the logs that are at work during a rollout, with commas between them.
working() {
  local log rest all=rollout
  while read -r log rest; do
    case $log in '') break ;; execution.*) all+=,$log ;; esac
  done <<<"$(again partitions)"
  echo "$all"
}

# released sets released to how many things of the job demo were released.
released() {
  local text
  text=$(run job describe demo --output json --timeout 2s 2>/dev/null) || text=''
  released=0
  if [[ $text =~ \"released\":\ ([0-9]+) ]]; then released=${BASH_REMATCH[1]}; fi
}

# await_released N waits until so many things were released.
await_released() {
  local tries=0
  released
  until [ "$released" -ge "$1" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || die "$1 things were not released in time: $released were"
    sleep 0.2
    released
  done
}

# fault WHAT LOGS MAX notes what is about to be done, with the time; LOGS and MAX may be empty.
fault() { now_ms; note "$1"; printf '%s %s%s%s\n' "$now" "$1" "${2:+ logs=$2}" "${3:+ max=$3}" >>"$dir/faults"; }

# over adds to what was noted last for how long it was being done.
over() { local since=$now; now_ms; printf '%s for=%sms\n' "$(<"$dir/faults")" $((now - since)) >"$dir/faults.new"; mv "$dir/faults.new" "$dir/faults"; }

finished() {
  local status=$? service
  trap - EXIT INT TERM
  if [ "$status" -ne 0 ]; then
    printf '\n'
    for service in ${failing:-}; do
      printf 'the end of the log of %s:\n' "$service"
      log_of "$service" 2>&1 | tail -n 25 | sed 's/^/    /'
    done
    [ -s "$dir/simulate.log" ] && { echo 'the end of the log of the devices:'; tail -n 3 "$dir/simulate.log" | sed 's/^/    /'; }
    run partitions --timeout 2s 2>/dev/null || true
    echo "failed; the logs of all are in $dir"
  fi
  [ -z "${devices_pid:-}" ] || kill "$devices_pid" 2>/dev/null || true
  [ -z "${watch_pid:-}" ] || kill "$watch_pid" 2>/dev/null || true
  cleanup
  exit "$status"
}

# begin NAME BINARY KIND
begin() {
  drover=$(realpath "$2")
  dir=$(mktemp -d "${TMPDIR:-/tmp}/drover-$1.XXXXXX")
  : >"$dir/faults"
  read_compose
  case ${3:-processes} in
    processes | containers | hosts) source "deploy/${3:-processes}.sh" ;;
    *) die "$3: processes, containers or hosts" ;;
  esac
  trap finished EXIT
  trap 'exit 130' INT TERM
}

# ready SERVICE… waits until each says that it is ready.
ready() { for failing in "$@"; do await "$failing" || die "$failing was not ready in time"; done; failing=''; }

# birth starts everything, and waits until it is ready.
birth() {
  say "Starting $1: 3 hub nodes, a device leaf, 13 services"
  prepare
  launch
  local s servers=()
  for s in "${services[@]}"; do [ "$s" = init ] || servers+=("$s"); done
  ready "${servers[@]}"
  note "all are ready"
  again partitions
}

devices=1000

# await_connected waits until all devices say that they are connected; they say so every 2 s.
await_connected() {
  local tries=0
  until [[ $(tail -n 1 "$dir/simulate.log") == "$devices of $devices connected"* ]]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || die "the devices are not connected in time"
    kill -0 "$devices_pid" 2>/dev/null || die "the devices have ended"
    sleep 0.2
  done
}

# fleet PER_MINUTE registers the devices, starts them, and creates the job.
fleet() {
  say "Registering $devices things in the group press-line"
  seq -f 'press-%04g' 0 $((devices - 1)) >"$dir/things"
  again group create press-line --description "The demo's devices" >/dev/null
  again thing create --prefix press- --count "$devices" >/dev/null
  again group add press-line --from "$dir/things" >/dev/null
  say "Connecting $devices simulated devices through the device leaf, half MQTT, half NATS; 5 % are programmed to fail"
  "$drover" simulate --devices "$devices" --prefix press- --mixed --fail-rate 0.05 --work-time 200ms --seed 7 --poll 20s \
    --mqtt-url "$mqtt" --nats-url "$nats" --device-ca "$secrets/ca.crt" \
    --journal "$dir/devices.jsonl" --until-jobs 1 >"$dir/simulate.log" 2>&1 &
  devices_pid=$!
  await_connected
  say "Creating the job demo: $1 things a minute"
  again job create demo --document '{"operation":"install","version":"2.4.0"}' --target group/press-line --per-minute "$1"
  "$drover" job watch demo &
  watch_pid=$!
}

# signed PATH sets answer to what AWS's API has there, asked with an access key that is made for it. curl signs; it knows nothing
# else of Drover. A key is known everywhere a moment after it was made.
signed() {
  local AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY tries=0
  eval "$(again credential create --description demo)"
  until answer=$(curl --silent --show-error --fail --max-time 20 --cacert "$secrets/ca.crt" --aws-sigv4 aws:amz:us-east-1:iot --config - "$api$1" 2>"$dir/curl.log" \
    <<<"user = $AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"); do
    tries=$((tries + 1))
    [ "$tries" -lt 30 ] || { cat "$dir/curl.log" >&2; die "AWS's API does not answer $1"; }
    sleep 0.3
  done
}

# closing waits for the job's end and recounts it from the logs.
closing() {
  wait "$watch_pid" || die "the job was not followed to its end"
  watch_pid=''
  wait "$devices_pid" || die "the devices did not all end their job"
  devices_pid=''
  say "Another process recounts the logs"
  local status=0
  run audit job demo $(from_hub) --journal "$dir/devices.jsonl" --faults "$dir/faults" \
    --expect SUCCEEDED=950 --expect FAILED=50 --expect transitions=3000 || status=$?
  run audit log verify $(from_hub) || status=$?
  note "done; the devices' journal, what was done and the logs of all are in $dir"
  return "$status"
}
