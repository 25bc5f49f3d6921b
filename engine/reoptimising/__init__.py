"""Late re-optimisation: orders that are not with their nodes yet are decided again together, in the background.

`standing` an order that stands, as one to be decided again · `staying` what its present plan costs as things are now ·
`swaps` which of the new plans are taken, and which of them hang together · `walking` through all of them, in turns ·
`report` what was found · `task` when this is done, and for whom.
"""
