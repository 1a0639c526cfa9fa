"""How people are alerted: topics and alarms."""
