"""What is checked and done around the traffic stages of a release."""
