"""What-if simulation: demand decided by the engine itself, on the memory ledger and in simulated time.

scenario      the document: demand, stock, seeds, scenarios (`demand_document`, `patches` are parts of it)
world         what a run begins with                     present   reads it from a partition that is there
faults        everything that is wrong with a simulation, before anything is made
patching      world and patches to what one run is run on
generated     orders from rates and seeds                recorded  orders of history or of a file
supply        what comes in
running       one scenario with one seed (start here)    windows   the gate in simulated time
measuring     figures of a run, added up order by order  outcome   one order's row
comparing     the scenarios beside the baseline          trail     who ships what from where, in few bytes
"""
