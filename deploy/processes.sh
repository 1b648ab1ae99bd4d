# The services of docker-compose.yml as processes of this machine, each on a loopback address of its own, which stands
# where its name does in the command lines. Linux answers on all of 127.0.0.0/8.

declare -gA address pids
prepare() {
  secrets=$dir/secrets
  local net="127.$((RANDOM % 200 + 20)).$((RANDOM % 200 + 20))" n=10 service hosts=() urls=''
  for service in "${services[@]}"; do
    address[$service]=$net.$((n++))
    case $service in hub-* | leaf-* | http-*) hosts+=(--host "$service" --host "${address[$service]}") ;; esac
    case $service in hub-*) urls+="${urls:+,}nats://${address[$service]}:4222" ;; esac
  done
  run secrets create "$secrets" "${hosts[@]}" >/dev/null
  export DROVER_SERVER=$urls DROVER_CREDS=$secrets/client.json DROVER_TLS_CA=$secrets/ca.crt
  mqtt=mqtts://${address[leaf-1]}:8883 nats=tls://${address[leaf-1]}:4225 api=https://${address[http-1]}:8443
}

# revive SERVICE starts it.
revive() {
  local service=$1 words word name line=()
  IFS=$'\t' read -ra words <<<"${commands[$service]}"
  for word in "${words[@]}"; do
    word=${word//\/run\/secrets\//$secrets/}
    for name in "${services[@]}"; do word=${word//"$name:"/"${address[$name]}:"}; done
    case $word in
      /data) word=$dir/$service ;;
      0.0.0.0) word=${address[$service]} ;;
    esac
    line+=("$word")
  done
  "$drover" "${line[@]}" >>"$dir/$service.log" 2>&1 &
  pids[$service]=$!
}

launch() {
  local service
  for service in "${services[@]}"; do revive "$service"; done
  failing=init
  wait "${pids[init]}" || die "drover init has failed"
  unset 'pids[init]'
}

await() {
  kill -0 "${pids[$1]}" 2>/dev/null || return 1
  run health "http://${address[$1]}:8222" --wait 60s >/dev/null
}

kill9() {
  kill -9 "${pids[$1]}"
  { wait "${pids[$1]}" || true; } 2>/dev/null
}

# terminate SERVICE stops it in order.
terminate() {
  kill -TERM "${pids[$1]}"
  wait "${pids[$1]}" || { failing=$1; die "$1 did not stop in order"; }
}

log_of() { cat "$dir/$1.log"; }

cleanup() {
  local service
  for service in "${!pids[@]}"; do kill -9 "${pids[$service]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
}
