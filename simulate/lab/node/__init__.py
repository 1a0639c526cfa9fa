"""The node of the lab: pods as local processes. A stand-in for a kubelet, kube-proxy and CNI plugin."""
