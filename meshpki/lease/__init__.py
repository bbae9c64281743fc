"""One run at a time: who may change the mesh, as a Lease in the cluster that everybody sees."""
