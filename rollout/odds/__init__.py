"""What chance alone does to a plan at a traffic rate."""
