"""What-if simulation over HTTP: jobs, how far they are, what they answer, and files for them."""
