"""The Kubernetes control plane of the lab: the real programs, and a client for their API."""
