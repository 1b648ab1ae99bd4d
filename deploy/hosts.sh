# Three machines and an operator's, as network namespaces on one bridge: each has an address, a name, a disk and a home
# folder of its own. What runs on them is what deploy/README.md says to type, read from there.

services=(hub-1 hub-2 hub-3 node-1 node-2 node-3 leaf-1)
net=drover-$$
declare -gA pids

# part is the part of deploy/README.md about three nodes: its commands, one a line.
part=$(sed -n '/^## Three nodes/,/^## Ports/p' deploy/README.md | sed -n '/^```sh/,/^```/p' | sed -e '/^```/d' -e ':a' -e '/\\$/{N;s/\\\n *//;ta' -e '}')

# typed WORDS sets line to the command of that part that begins so, with its first program's name.
typed() {
  while IFS= read -r line; do
    case $line in "$1"*) return ;; esac
  done <<<"$part"
  die "deploy/README.md does not say how to type: $1"
}

# on MACHINE sets at to what a command line on that machine begins with: 1 to 3, or 0 for the operator's.
on() {
  at=(ip netns exec "$net-$1" bash -c 'mount --bind "$0/disk" /var/lib/drover && cd "$0/home" && PATH=$1:$PATH && shift && eval "exec $*"' "$dir/machine-$1" "$dir/bin")
}

# plug MACHINE puts its cable in, unplug takes it out.
plug() { ip -n "$net-lan" link set "port-$1" up; }
unplug() { ip -n "$net-lan" link set "port-$1" down; }

prepare() {
  local n name
  made=''
  [ -d /var/lib/drover ] || { mkdir /var/lib/drover; made=yes; }
  ip netns add "$net-lan"
  ip -n "$net-lan" link add lan type bridge
  ip -n "$net-lan" link set lan up
  for n in 0 1 2 3; do
    name=$net-$n
    mkdir -p "$dir/machine-$n/disk" "$dir/machine-$n/home" "/etc/netns/$name"
    printf '127.0.0.1 localhost\n10.77.0.1 node-1\n10.77.0.2 node-2\n10.77.0.3 node-3\n' >"/etc/netns/$name/hosts"
    ip netns add "$name"
    ip -n "$net-lan" link add "port-$n" type veth peer name lan netns "$name"
    ip -n "$net-lan" link set "port-$n" master lan
    ip -n "$name" addr add "10.77.0.$((n ? n : 100))/24" dev lan
    ip -n "$name" link set lan up
    ip -n "$name" link set lo up
    plug "$n"
  done
  mkdir "$dir/bin"
  ln -s "$drover" "$dir/bin/drover"
  # The operator's commands run on his machine, the devices on the one that they connect to.
  cat >"$dir/operate" <<END
#!/bin/bash
machine=0
[ "\$1" != simulate ] || machine=1
exec ip netns exec "$net-\$machine" "$drover" "\$@"
END
  chmod +x "$dir/operate"
  drover=$dir/operate
}

# revive SERVICE starts it, as the part says.
revive() {
  local service=$1 n=${1##*-} line at
  case $service in
    hub-*) typed 'drover broker hub'; line=${line//hub-1/$service} ;;
    node-*) typed 'drover serve'; line=${line//--name node-1/--name $service} ;;
    leaf-*) typed 'drover broker leaf' ;;
  esac
  on "$n"
  "${at[@]}" "$line" >>"$dir/$service.log" 2>&1 &
  pids[$service]=$!
}

await() {
  local n=${1##*-} port at
  kill -0 "${pids[$1]}" 2>/dev/null || return 1
  case $1 in hub-*) port=8222 ;; leaf-*) port=8223 ;; node-*) port=8224 ;; esac
  on "$n"
  "${at[@]}" "drover health http://127.0.0.1:$port --wait 120s" >/dev/null
}

kill9() {
  kill -9 "${pids[$1]}"
  { wait "${pids[$1]}" || true; } 2>/dev/null
}

log_of() { cat "$dir/$1.log"; }

cleanup() {
  local service n
  for service in "${!pids[@]}"; do kill -9 "${pids[$service]}" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for n in lan 0 1 2 3; do
    ip netns del "$net-$n" 2>/dev/null || true
    rm -rf "/etc/netns/$net-$n"
  done
  [ -z "${made:-}" ] || rmdir /var/lib/drover 2>/dev/null || true
}
