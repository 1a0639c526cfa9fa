"""Set-up of a checkout: what `make setup` runs. Standard library only."""
