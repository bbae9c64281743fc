"""X.509 and SPIFFE only: certificates, bundles, paths. Nothing here knows Kubernetes."""
