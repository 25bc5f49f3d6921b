"""HTTP and the command line, and nothing else."""
