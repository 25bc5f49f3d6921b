"""Simulations as jobs: accepted at once or refused at once, performed by processes that stand back, kept on disk.

desk          what the service asks for: submit, look, cancel, forget; performs what waits (start here)
job           what is known of a job, as it is written down        terms    settings
folder        one job's directory: every file of it, each there wholly or not at all
shelf         all jobs of a data directory, by partition           uploads  files that jobs may name
accepting     what is to become a job                   results        what a run leaves
glancing      refuses what can be seen to be wrong at a glance
intake        from a document to a folder that can be performed; checking, intake_process: in a process of its own
performing    one job from its first run to its answer, resumed where it was left
worker        a process that performs runs, the parent's end; worker_process: its own end
"""
