"""Simulations as jobs: accepted at once or refused at once, performed by processes that stand back, kept on disk.

desk            what the service asks for: submit, look, cancel, forget; performs what waits (start here)
job             what is known of a job, as it is written down        terms    settings
folder          one job's directory: every file of it, each there wholly or not at all
shelf           all jobs of a data directory, by partition           uploads  files that jobs may name
intake          from a document to a folder that can be performed    intake_process   the same in a process of its own
performing      one job from its first run to its answer, resumed where it was left
worker          a process that performs runs, the parent's end       worker_process   its own end
answer          what the results of all runs say
"""
