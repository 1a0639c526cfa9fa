"""Programs that run in pods. Each is one file that needs the standard library only; a stack puts it into a ConfigMap."""
