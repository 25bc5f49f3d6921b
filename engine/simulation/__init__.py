"""What-if simulation: demand decided by the engine itself, on the memory ledger and in simulated time.

simulating    a simulation as pieces of work (start here): prepared, performed, reported
scenario      the document: demand, stock, seeds, scenarios (`demand_document`, `patches` are parts of it)
questions     questions that become scenarios (`questions_document`: as callers write them)
faults        all that is wrong with it, before anything is made (`demand_faults`, `contradictions`)
world         what a run begins with        present    reads it, and orders of the past, from a running engine
patching      world and patches to what one run is run on
generated     orders from rates and seeds   recorded   orders of history or of a file
stocking      generated stock               supply     what comes in
running       one scenario with one seed    windows    the gate in simulated time    agenda   what is due when
measuring     from decisions to sums        figures    the sums, and what they say   outcome  one order's row
comparing     scenarios beside the baseline trail      who ships what from where, in few bytes
answering     all of it as one document     bounding  how long its lists may be
decisions_file   every decision as Parquet
jobs/         simulations that a service or the command line performs, in processes
"""
