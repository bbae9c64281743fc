"""Roles of RBAC as values: rights, who is given them, and the manifests of both."""
