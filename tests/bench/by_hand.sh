#!/usr/bin/env bash
# The peer of `meshpki up`: the same objects by plain kubectl and istioctl calls with waits, as a careful person would
# write it: Istio beside SPIRE, agents once the server has published its bundle (before, they wait a minute), the CSI
# driver after the agents. kubectl, istioctl and KUBECONFIG come from the caller; $1 is a folder with cert-manager.yaml,
# root.yaml, spire.yaml, spire-agent.yaml, spiffe-csi-driver.yaml, operator.yaml, workloads.yaml.
set -euo pipefail
cd "$1"
began=$(date +%s%3N)
said() { echo "$(($(date +%s%3N) - began)) $*"; }
kubectl apply --server-side -f cert-manager.yaml >/dev/null
kubectl -n cert-manager wait deploy --all --for=condition=Available --timeout=120s >/dev/null
until kubectl apply --server-side -f root.yaml >/dev/null 2>&1; do sleep 0.3; done
kubectl -n istio-system wait certificate cacerts --for=condition=Ready --timeout=60s >/dev/null
said istiod-ca
until kubectl apply --server-side -f spire.yaml >/dev/null 2>&1; do sleep 0.3; done
istioctl install --skip-confirmation -f operator.yaml --readiness-timeout 300s >/dev/null 2>&1 &
istio=$!
kubectl -n spire-server rollout status sts/spire-server --timeout=180s >/dev/null
published() { kubectl -n spire-system get configmap spire-bundle -o jsonpath='{.data.bundle\.crt}'; }
until published | grep -q 'BEGIN CERTIFICATE'; do sleep 0.3; done
kubectl apply --server-side -f spire-agent.yaml >/dev/null
kubectl -n spire-system rollout status ds/spire-agent --timeout=180s >/dev/null
kubectl apply --server-side -f spiffe-csi-driver.yaml >/dev/null
kubectl -n spire-system rollout status ds/spiffe-csi-driver --timeout=180s >/dev/null
said spire
wait "$istio"
said istio
kubectl apply --server-side -f workloads.yaml >/dev/null
kubectl -n bookinfo wait deploy --all --for=condition=Available --timeout=180s >/dev/null
page=http://istio-ingressgateway.istio-system/productpage
until kubectl -n bookinfo exec deploy/client -c curl -- curl -sf -o /dev/null "$page" 2>/dev/null; do sleep 0.3; done
said workloads
