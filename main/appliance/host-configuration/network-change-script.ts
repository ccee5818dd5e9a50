/**
 * The script that changes the network of a node and takes the change back by itself. It runs as root, by a POSIX shell, and
 * nothing is ever pasted into it: all that varies comes as a parameter or on standard input.
 *
 * While a change is on trial its systemd-networkd files lie in /run, which is empty after a restart: a node that restarts
 * before the change was confirmed comes back as it was. Only `confirm` puts files in persistent places. Who makes the folder
 * `decided` first (`confirm`, or `rollback` when the time is over) has decided; making a folder is atomic.
 *
 * Parameters: verb, identifier of the change; for `begin` then seconds until the roll-back, interface, and the VLAN
 * interface that the change makes (or nothing). Prints one line `state: …`; exit code 0, or 1 with `problem: …`.
 *
 * `begin` reads lines from standard input: `script BASE64` (this script) · `trial NAME BASE64` (a file for
 * /run/systemd/network) · `final PATH BASE64` (what `confirm` puts in place) · `end`, without which nothing is done.
 */
export const networkChangeScript = `verb=$1 id=$2
state=/run/landfall/network units=/run/systemd/network
PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
export PATH LC_ALL
umask 022

problem() {
  echo "problem: $*"
  exit 1
}

has_systemd() {
  test -d /run/systemd/system && command -v systemd-run >/dev/null
}

later() {
  if has_systemd; then
    systemd-run --quiet --collect --unit="landfall-network-$2" --on-active="$1" --timer-property=AccuracySec=100ms sh "$state/script" "$2" "$id"
    return
  fi
  setsid nohup sh -c 'sleep "$1"; exec sh "$2" "$3" "$4"' landfall "$1" "$state/script" "$2" "$id" </dev/null >/dev/null 2>&1 &
  kill -0 $! && echo $! >"$state/$2.pid"
}

no_longer() {
  if has_systemd; then
    systemctl stop "landfall-network-$1.timer" 2>/dev/null
  elif test -s "$state/$1.pid"; then
    kill "$(cat "$state/$1.pid")" 2>/dev/null
  fi
}

remove_staged() {
  for entry in "$state"/final/*.path; do
    test -f "$entry" || continue
    path=$(cat "$entry")
    rm -f "\${path%/*}/.\${path##*/}.landfall-new"
  done
}

remove_trial() {
  for entry in "$state"/trial/*; do
    test -f "$entry" && rm -f "$units/\${entry##*/}"
  done
}

finish() {
  for entry in "$state"/final/*.path; do
    test -f "$entry" || continue
    path=$(cat "$entry")
    staged=\${path%/*}/.\${path##*/}.landfall-new
    test ! -f "$staged" || mv -f "$staged" "$path" || problem "$path could not be put in place"
  done
  sync
  # Not reloaded: networkd has these settings already, and would take the address away for a moment.
  remove_trial
  no_longer rollback
  rm -rf "$state"
}

addresses() {
  ip -4 -o address show dev "$1" scope global 2>/dev/null | while read -r _ _ _ address _; do echo "$address"; done | sort
}

is_back() {
  addresses "$1" >"$state/now.addresses"
  while read -r address; do
    grep -qxF "$address" "$state/now.addresses" || return 1
  done <"$state/before.addresses"
  test ! -s "$state/before.routes" || ip -4 route show default dev "$1" | grep -q .
}

wait_until_back() {
  tries=0
  until is_back "$1"; do
    test $tries -lt 25 || return 1
    sleep 0.2
    tries=$((tries + 1))
  done
}

case $verb in
begin)
  seconds=$3 nic=$4 vlan=$5
  test -d "/sys/class/net/$nic" || problem "there is no network interface $nic"
  command -v networkctl >/dev/null || problem 'there is no networkctl on this node'
  has_systemd || command -v setsid >/dev/null || problem 'there is neither systemd nor setsid, so nothing could take the change back'
  mkdir -p /run/landfall || problem '/run/landfall cannot be made'
  if ! mkdir "$state" 2>/dev/null; then
    if test -d "$state/decided" && test "$(cat "$state/decided/by" 2>/dev/null)" = confirm; then
      finish
    elif ! test -f "$state/outcome" && test -f "$state/id"; then
      echo "state: pending $(cat "$state/id")"
      exit 0
    fi
    rm -rf "$state"
    mkdir "$state" || problem "$state cannot be made"
  fi
  mkdir "$state/trial" "$state/final"
  number=0 is_complete=
  while read -r kind name data; do
    test "$kind" != end || { is_complete=1; break; }
    case $kind in
    script) echo "$name" | base64 -d >"$state/script" || is_broken=1 ;;
    trial) echo "$data" | base64 -d >"$state/trial/$name" || is_broken=1 ;;
    final)
      number=$((number + 1))
      echo "$name" >"$state/final/$number.path"
      staged=\${name%/*}/.\${name##*/}.landfall-new
      said=$( { mkdir -p "\${name%/*}" && echo "$data" | base64 -d >"$staged" && test "$(base64 <"$staged" | tr -d '\\n')" = "$data"; } 2>&1 ) || {
        remove_staged
        rm -rf "$state"
        problem "$name cannot be written: $said"
      }
      ;;
    esac
  done
  test -n "$is_complete" && test -z "\${is_broken-}" && test -s "$state/script" || {
    remove_staged
    rm -rf "$state"
    problem 'the files of the change did not arrive whole'
  }
  echo "$nic" >"$state/nic"
  test -z "$vlan" || test -d "/sys/class/net/$vlan" || echo "$vlan" >"$state/vlan"
  cat "/sys/class/net/$nic/mtu" >"$state/before.mtu"
  addresses "$nic" >"$state/before.addresses"
  ip -4 route show default dev "$nic" >"$state/before.routes"
  echo "$id" >"$state/id"
  said=$(later "$seconds" rollback 2>&1) || {
    remove_staged
    rm -rf "$state"
    problem "the roll-back could not be prepared: $said"
  }
  said=$(later 1 apply 2>&1) || {
    no_longer rollback
    remove_staged
    rm -rf "$state"
    problem "the change could not be started: $said"
  }
  echo "state: begun $id"
  ;;
apply)
  test "$(cat "$state/id" 2>/dev/null)" = "$id" && ! test -d "$state/decided" || exit 0
  {
    # Reloading configures anew what has other files than before (since systemd 244).
    mkdir -p "$units" && cp "$state"/trial/* "$units/" && networkctl reload
  } >"$state/log" 2>&1 || exec sh "$state/script" rollback "$id"
  ;;
rollback)
  test "$(cat "$state/id" 2>/dev/null)" = "$id" || exit 0
  mkdir "$state/decided" 2>/dev/null || exit 0
  echo rollback >"$state/decided/by"
  nic=$(cat "$state/nic")
  remove_trial
  remove_staged
  networkctl reload >>"$state/log" 2>&1
  test ! -f "$state/vlan" || ip link delete dev "$(cat "$state/vlan")" >>"$state/log" 2>&1
  ip link set dev "$nic" mtu "$(cat "$state/before.mtu")" >>"$state/log" 2>&1
  if ! wait_until_back "$nic"; then
    networkctl reconfigure "$nic" >>"$state/log" 2>&1
    wait_until_back "$nic"
  fi
  ip link set dev "$nic" up
  # What networkd did not do. An address that it has is left alone: one that is set by another hand while networkd sets it
  # makes networkd 252 ask for it 65535 times, and give the interface up ("Numerical result out of range").
  addresses "$nic" >"$state/now.addresses"
  while read -r address; do
    grep -qxF "$address" "$state/now.addresses" || ip -4 address replace "$address" dev "$nic" >>"$state/log" 2>&1
  done <"$state/before.addresses"
  addresses "$nic" | while read -r address; do
    grep -qxF "$address" "$state/before.addresses" || ip -4 address delete "$address" dev "$nic" >>"$state/log" 2>&1
  done
  ip -4 route show default dev "$nic" | grep -q . || while read -r route; do
    ip -4 route replace $route dev "$nic" >>"$state/log" 2>&1
  done <"$state/before.routes"
  ip link set dev "$nic" mtu "$(cat "$state/before.mtu")" >>"$state/log" 2>&1
  echo "$(tr '\\n' ' ' <"$state/log" | head -c 400)" >"$state/outcome"
  ;;
confirm)
  test "$(cat "$state/id" 2>/dev/null)" = "$id" || { echo 'state: none'; exit 0; }
  mkdir "$state/decided" 2>/dev/null && echo confirm >"$state/decided/by"
  if test "$(cat "$state/decided/by" 2>/dev/null)" != confirm; then
    echo 'state: rolled-back'
    exit 0
  fi
  finish
  echo 'state: confirmed'
  ;;
status)
  if ! test -f "$state/id"; then
    echo 'state: none'
  elif test -f "$state/outcome"; then
    echo "state: rolled-back $(cat "$state/id") $(cat "$state/outcome")"
  elif test "$(cat "$state/decided/by" 2>/dev/null)" = confirm; then
    echo "state: confirming $(cat "$state/id")"
  else
    echo "state: pending $(cat "$state/id")"
  fi
  ;;
esac`
