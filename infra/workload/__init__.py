"""One colour in Kubernetes: the backend and its connection pool."""
