#!/usr/bin/env bash
# start.sh PROGRAM DIR PORT BIND [FLAG...]: one program of a control plane, in the namespace where it is called, as the
# process that was called (its pid is the program's). State in DIR; PROGRAM is the file of etcd, kube-apiserver or
# kube-controller-manager, in this order. The API server listens on BIND:PORT, an address that nodes reach (an
# EndpointSlice can't hold 127.0.0.0/8); etcd stays on loopback (PORT+1, PORT+2). Authorisation is RBAC; the token `tok`
# is an administrator's; DIR/kubeconfig has both. With aggregator routing the API server dials the endpoints of webhooks
# itself, so that no kube-proxy is needed beside it.
set -euo pipefail
program=$1 dir=$2 port=$3 bind=$4
shift 4
mkdir -p "$dir" && cd "$dir"
etcd=http://127.0.0.1:$((port + 1)) peer=http://127.0.0.1:$((port + 2))

case ${program##*/} in
etcd)
  exec "$program" --data-dir data --unsafe-no-fsync --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer" \
    --heartbeat-interval 10 --election-timeout 100 "$@"
  ;;
kube-apiserver)
  [ -s sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
  echo 'tok,admin,1,system:masters' >tokens
  cat >kubeconfig <<Y
{"apiVersion": "v1", "kind": "Config", "current-context": "admin",
 "clusters": [{"name": "cluster", "cluster": {"server": "https://$bind:$port", "certificate-authority": "$dir/certs/apiserver.crt"}}],
 "users": [{"name": "admin", "user": {"token": "tok"}}], "contexts": [{"name": "admin", "context": {"cluster": "cluster", "user": "admin"}}]}
Y
  # every request of ours that was answered, with the Pod that made it: what is written, and how often, is told from
  # this
  cat >audit-policy <<Y
{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived", "ResponseStarted"],
 "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:metallb-system"]}, {"level": "None"}]}
Y
  # the self-signed certificate is made at the first start, with its CA behind it in the same file
  exec "$program" --etcd-servers "$etcd" --secure-port "$port" --bind-address "$bind" --advertise-address "$bind" --cert-dir certs \
    --service-cluster-ip-range 10.96.0.0/16,fd00:96::/108 --service-node-port-range 20000-60000 \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file sa.pub --service-account-signing-key-file sa.key \
    --token-auth-file tokens --authorization-mode RBAC --enable-aggregator-routing=true \
    --audit-policy-file audit-policy --audit-log-path audit.log "$@"
  ;;
kube-controller-manager)
  # those that need a kubelet stay out: they would find every node dead
  exec "$program" --kubeconfig kubeconfig --root-ca-file certs/apiserver.crt --service-account-private-key-file sa.key \
    --use-service-account-credentials --leader-elect=false --bind-address 127.0.0.1 --secure-port $((port + 3)) --cert-dir certs \
    --controllers='*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller' "$@"
  ;;
*)
  echo "no such program: $program" >&2
  exit 2
  ;;
esac
