"""How people learn of trouble: topics and alarms."""
