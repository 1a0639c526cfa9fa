"""The commands of `simulate` that need no lab."""
