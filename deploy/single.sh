# What the demos of a system in one process have in common. They source this file; bash and the binary are all they need.
# The folder of the system stays, in $data.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

run() { "$drover" --data "$data" "$@"; }

# What runs in the background is the binary itself: a function would be a shell of its own, which gets the signals.

# begin NAME BINARY FLAG… starts the system in a new folder, and waits until it is ready.
begin() {
  drover=$(realpath "$2")
  data=$(mktemp -d "${TMPDIR:-/tmp}/drover-$1.XXXXXX")
  pids=()
  trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done' EXIT
  say "Starting Drover in $data"
  "$drover" --data "$data" up "${@:3}" --nats-port 0 --leaf-port 0 --mqtt-port 0 --device-port 0 --http-port 0 --monitor-port 0 >"$data.log" 2>&1 &
  up=$!
  pids+=("$up")
  for _ in $(seq 300); do
    [ -e "$data/endpoints.json" ] && return
    kill -0 "$up" 2>/dev/null || { cat "$data.log"; exit 1; }
    sleep 0.1
  done
  cat "$data.log"
  die "drover up was not ready within 30 s"
}

# register N registers so many things in a group.
register() {
  say "Registering $1 things in the group press-line"
  run group create press-line --description "The demo's devices"
  run thing create --prefix press- --count "$1"
  seq -f 'press-%04g' 0 $(($1 - 1)) | run group add press-line --from -
}

# simulate N FLAG… runs so many simulated devices, as the process $sim.
simulate() {
  "$drover" --data "$data" simulate --devices "$1" --prefix press- --seed 7 "${@:2}" >"$data/simulate.log" 2>&1 &
  sim=$!
  pids+=("$sim")
}

# halt stops the system; its logs can be read by another process then.
halt() {
  say "Stopping Drover; another process recounts the log"
  kill -TERM "$up"
  wait "$up" || { tail -20 "$data.log"; die "drover up did not stop cleanly"; }
  pids=()
}
