#!/usr/bin/env bash
# Three machines with Consul, as three network namespaces of this one: m1 has Consul's server and the caller, m2 and m3 have an
# agent and a model each. ACLs are enforced, agents speak TLS. It does what is to be done on real machines, looks at each
# step, and removes everything at the end. As root, with iproute2; takes about a minute and a half.
#   CONSUL_BIN=/usr/bin/consul mesh-config/deploy/three-machines/run.sh
set -euo pipefail
umask 077
here=$(cd "$(dirname "$0")" && pwd)
package=$(cd "$here/../../.." && pwd)
cached=$package/.cache/consul/bullseye/usr/bin/consul
consul=${CONSUL_BIN:-$(command -v consul || echo "$cached")}
run=outrider-$$
work=$(mktemp -d)
started=()
began=$SECONDS

fail() {
  echo "failed: $*" >&2
  tail -n 8 "$work"/m*/*.log >&2 || true
  exit 1
}
# Only processes that this run has started: they are in its namespaces.
pids() { for m in m1 m2 m3; do ip netns pids "$run-$m" 2>/dev/null || true; done; }
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  kill "${started[@]}" 2>/dev/null || true
  for _ in $(seq 60); do [ -z "$(pids)" ] && break; sleep 0.1; done
  pids | xargs -r kill -KILL 2>/dev/null || true
  for name in m1 m2 m3 switch; do ip netns delete "$run-$name" 2>/dev/null || true; done
  rm -rf "$work"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# within SECONDS WHAT COMMAND…: repeats the command until it succeeds.
within() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >"$work/last" 2>&1; do
    [ $SECONDS -lt $until ] || fail "$what: $(tail -n 3 "$work/last")"
    sleep 0.3
  done
  ok "$what"
}
ok() { printf '%3d s  %s\n' $((SECONDS - began)) "$*"; }
# refused WHAT PATTERN COMMAND…: the command fails and says why.
refused() {
  local what=$1 pattern=$2
  shift 2
  if "$@" >"$work/last" 2>&1; then fail "$what was allowed"; fi
  grep -qiE "$pattern" "$work/last" || fail "$what: $(tail -n 3 "$work/last")"
  ok "refused: $what"
}

# on MACHINE COMMAND…: runs it there, in the machine's folder.
on() {
  local m=$1
  shift
  ip netns exec "$run-$m" env -C "$work/$m" PATH="$work/bin:$PATH" "$@"
}
# consul_as MACHINE TOKEN ARGS…: the command `consul` with a token, at the agent of the machine.
consul_as() {
  local m=$1 token=$2
  shift 2
  on "$m" env CONSUL_HTTP_ADDR=https://127.0.0.1:8501 CONSUL_CACERT=tls/ca.pem CONSUL_HTTP_TOKEN="$token" "$consul" "$@"
}
# start MACHINE LOG COMMAND…: in the background.
start() {
  local m=$1 log=$2
  shift 2
  on "$m" "$@" >>"$work/$m/$log" 2>&1 </dev/null &
  started+=($!)
}
secret() { sed -n 's/^SecretID: *//p'; }

[ "$(id -u)" = 0 ] || { echo 'skipped: network namespaces need root' >&2; exit 77; }
for each in "$consul" ip node; do
  command -v "$each" >/dev/null || { echo "skipped: there is no $each" >&2; exit 77; }
done
ip netns add "$run-switch" 2>"$work/last" || { echo "skipped: $(cat "$work/last")" >&2; exit 77; }
mkdir "$work/bin"
printf '#!/bin/sh\nexec node %s/dist/sidecar/main.js "$@"\n' "$package" >"$work/bin/outrider"
chmod +x "$work/bin/outrider"

# 1. The machines: a switch, and a cable to each.
ip -n "$run-switch" link add lan type bridge
ip -n "$run-switch" link set lan up
for i in 1 2 3; do
  m=m$i
  ip netns add "$run-$m"
  ip -n "$run-switch" link add "port$i" type veth peer name eth0 netns "$run-$m"
  ip -n "$run-switch" link set "port$i" master lan up
  ip -n "$run-$m" link set lo up
  ip -n "$run-$m" link set eth0 up
  ip -n "$run-$m" address add "10.93.0.1$i/24" dev eth0
  mkdir -p "$work/$m/tls" "$work/$m/data"
done
ok 'three machines: 10.93.0.11, 10.93.0.12, 10.93.0.13'

# 2. Certificates of the agents, by Consul's own command. The key of the authority stays where it is made.
mkdir "$work/authority"
cd "$work/authority"
"$consul" tls ca create >/dev/null
"$consul" tls cert create -server -dc dc1 >/dev/null
for i in 2 3; do "$consul" tls cert create -client -dc dc1 >/dev/null; done
for i in 1 2 3; do
  cp consul-agent-ca.pem "$work/m$i/tls/ca.pem"
  kind=client-consul-$((i - 2))
  [ $i = 1 ] && kind=server-consul-0
  cp "dc1-$kind.pem" "$work/m$i/tls/agent.pem"
  cp "dc1-$kind-key.pem" "$work/m$i/tls/agent-key.pem"
done
gossip=$("$consul" keygen)

# 3. The server. The first token may do everything; it makes the others and is used for nothing else.
cat >"$work/m1/machine.hcl" <<HCL
node_name = "m1"
bind_addr = "10.93.0.11"
encrypt   = "$gossip"
HCL
start m1 consul.log "$consul" agent -config-file "$here/server.hcl" -config-file machine.hcl
bootstrap() { consul_as m1 '' acl bootstrap >"$work/bootstrap"; }
within 60 'the server has a leader, ACLs are on' bootstrap
operator=$(secret <"$work/bootstrap")
agent_token() { consul_as m1 "$operator" acl token create -description "agent of $1" -node-identity "$1:dc1" | secret; }
consul_as m1 "$operator" acl set-agent-token agent "$(agent_token m1)" >/dev/null

# 4. The other agents, each with a token for its own node.
for i in 2 3; do
  cat >"$work/m$i/machine.hcl" <<HCL
node_name  = "m$i"
bind_addr  = "10.93.0.1$i"
retry_join = ["10.93.0.11"]
encrypt    = "$gossip"
acl        = { tokens = { agent = "$(agent_token m$i)" } }
HCL
  start "m$i" consul.log "$consul" agent -config-file "$here/client.hcl" -config-file machine.hcl
done
three_nodes() { [ "$(consul_as m3 "$operator" catalog nodes | grep -cE '^m[123] ')" = 3 ]; }
within 60 'three agents are one cluster' three_nodes

# 5. A token for each sidecar: its rules are printed by `outrider consul policy`.
token_for() { # MACHINE FILE
  # A rollout is not to watch real calls for a minute here.
  sed 's/rollout: {}/rollout: { window: 1s, samples: 0 }/' "$here/$2.yaml" >"$work/$1/sidecar.yaml"
  on "$1" outrider consul policy sidecar.yaml --node "$1" >"$work/$1/rules.hcl"
  consul_as m1 "$operator" acl policy create -name "$2-$1" -rules "@$work/$1/rules.hcl" >/dev/null
  consul_as m1 "$operator" acl token create -description "$2 on $1" -policy-name "$2-$1" | secret >"$work/$1/token"
}
token_for m1 ask
token_for m2 digits
token_for m3 digits
for m in m2 m3; do cp -r "$package/services/digits/models" "$work/$m/models"; done

# 6. The sidecars, each with its token only.
for i in 1 2 3; do
  start "m$i" sidecar.log env OUTRIDER_INSTANCE="m$i" OUTRIDER_ADDRESS="10.93.0.1$i" outrider sidecar -c sidecar.yaml
done
for m in m1 m2 m3; do within 60 "the sidecar on $m answers" on "$m" outrider probe live; done
passing() {
  on m1 curl -sf --cacert tls/ca.pem -H "X-Consul-Token: $operator" \
    'https://127.0.0.1:8501/v1/health/connect/digits?passing' >"$work/passing"
  grep -q '"10.93.0.12"' "$work/passing" && grep -q '"10.93.0.13"' "$work/passing"
}
within 90 'both models are healthy in the catalogue' passing

# 7. Calls: refused until an intention allows them, then answered by both machines.
ask() { on m1 outrider infer digits --input "@$package/services/digits/samples/seven.png" --target 127.0.0.1:8800 --deadline 3s; }
refused 'a call without an intention' 'PERMISSION_DENIED|permission' ask
consul_as m1 "$operator" intention create -allow ask digits >/dev/null
within 30 'an intention allows it: a call is answered' ask
calls_at() {
  on "$1" curl -sf 127.0.0.1:9464/metrics |
    awk '/^outrider_calls_total.*direction="inbound".*grpc_status="OK"/ { n += $NF } END { print n + 0 }'
}
both() { ask && [ "$(calls_at m2)" -gt 0 ] && [ "$(calls_at m3)" -gt 0 ]; }
within 30 'calls go to both machines' both

# 8. What a token may not do, said by the agents themselves.
refused 'the token of ask registers digits' '403|permission denied' \
  consul_as m1 "$(cat "$work/m1/token")" services register -name digits
refused 'the token of ask writes to the rollouts of digits' '403|permission denied' \
  consul_as m1 "$(cat "$work/m1/token")" kv put outrider/rollout/digits/record x
refused 'the token of ask writes the end of an audit log of digits' '403|permission denied' \
  consul_as m1 "$(cat "$work/m1/token")" kv put outrider/audit/digits/m2 x
refused 'the token of digits takes another intention' '403|permission denied' \
  consul_as m2 "$(cat "$work/m2/token")" intention create -allow ask other
refused 'a write without a token' '403|permission denied' consul_as m1 '' kv put outrider/x y

# 9. What needs the rules for the KV store: a rollout on which both machines agree, and the end of the audit log.
for m in m2 m3; do cp -r "$work/$m/models/digits/1" "$work/$m/next" && mv "$work/$m/next" "$work/$m/models/digits/2"; done
rolled_out() { ask && consul_as m1 "$operator" kv get outrider/rollout/digits/record | grep -q '"state":"done"'; }
within 90 'both machines serve version 2, by a rollout under sessions' rolled_out
audited() { consul_as m1 "$operator" kv get -keys outrider/audit/digits/ | grep -q .; }
within 90 'the end of an audit log is in Consul' audited

# 10. Nothing was refused to a sidecar.
if grep -hiE 'permission denied|ACL not found|\b403\b' "$work"/m*/sidecar.log >"$work/last"; then fail "a sidecar was refused: $(tail -n 3 "$work/last")"; fi
ok 'no sidecar was refused anything that it asked Consul for'

# 11. The cable of m3 is pulled; m2 answers.
ip -n "$run-switch" link set port3 down
for _ in 1 2 3 4 5; do ask >"$work/last" 2>&1 || fail "a call after m3 was cut off: $(tail -n 3 "$work/last")"; done
ok 'm3 is cut off: five of five calls are answered'
echo passed
