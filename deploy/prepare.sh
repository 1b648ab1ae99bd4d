#!/usr/bin/env bash
# What docker-compose.yml needs of this machine, made once: `make compose-prepare` calls this with the binary.
#
#   deploy/secrets   passwords, a CA, the brokers' certificate; what is there stays
#   .env             DROVER_UID, as whom the containers run: you, so that they can read the secrets; not root
#
# Neither belongs into the repository; git ignores both.
set -euo pipefail
drover=$(realpath "$1")
cd "$(dirname "$0")/.."
hosts=(--host hub-1 --host hub-2 --host hub-3 --host leaf-1 --host http-1)
"$drover" secrets create deploy/secrets "${hosts[@]}"
if [ ! -e .env ]; then
  uid=$(id -u)
  [ "$uid" -ne 0 ] || uid=10001
  echo "DROVER_UID=$uid" >.env
fi
source ./.env
if [ "$(id -u)" -eq 0 ]; then
  chown -R "$DROVER_UID" deploy/secrets
fi
