"""The network that everything else is placed in."""
