"""The lab: the release rehearsed on real parts on this machine, in namespaces of its own."""
