//go:build tools

// The programs of a real Kubernetes control plane and data plane, as Go modules: go.mod pins their versions, build.sh
// builds them. Nothing here is linked into Fairway.
package kube

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
)
