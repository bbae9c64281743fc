"""Seeing and changing a Kubernetes cluster; only kubernetes.py knows the client library."""
