"""The machine of a lab: namespaces, supervised services, names, database server."""
