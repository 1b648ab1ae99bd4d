# The services of docker-compose.yml as its containers, in a project of their own.

project=drover-demo-$$
declare -gA ids # of the containers, by service: to ask compose takes seconds, and a kill should take none
compose() { "${composer[@]}" -p "$project" "$@"; }

# composer is `docker compose` where there is one, else docker-compose.
if docker compose version >/dev/null 2>&1; then composer=(docker compose); else composer=(docker-compose); fi

prepare() {
  bash deploy/prepare.sh "$drover" >/dev/null
  secrets=$PWD/deploy/secrets
  export DROVER_SERVER=nats://127.0.0.1:4222,nats://127.0.0.1:4223,nats://127.0.0.1:4224
  export DROVER_CREDS=$secrets/client.json DROVER_TLS_CA=$secrets/ca.crt
  mqtt=mqtts://127.0.0.1:8883 nats=tls://127.0.0.1:4225 api=https://127.0.0.1:8443
}

launch() {
  failing=init
  compose up -d --build >"$dir/compose.log" 2>&1 || { tail -n 25 "$dir/compose.log"; die "the containers do not start"; }
  local id service
  while read -r id service; do ids[$service]=$id; done < <(
    docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.ID}} {{.Label "com.docker.compose.service"}}')
}

await() { docker exec "${ids[$1]}" /drover health --wait 60s >/dev/null; }
kill9() { docker kill -s KILL "${ids[$1]}" >/dev/null; }
terminate() { docker stop -t 15 "${ids[$1]}" >/dev/null; }
revive() { docker start "${ids[$1]}" >/dev/null; }
log_of() { compose logs --no-color --tail 40 "$1"; }

cleanup() {
  [ "${status:-1}" -eq 0 ] || compose logs --no-color >"$dir/containers.log" 2>&1 || true
  compose down -v -t 1 >>"$dir/compose.log" 2>&1 || true
}
