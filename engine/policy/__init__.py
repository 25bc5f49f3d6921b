"""Policies: how windows are decided, as data. `document` is what callers write, `rules` what applies to which order,
`faults` what a policy may not say, `steering` what all of it means for the orders of a window."""

from engine.policy.document import ObjectiveTerms as ObjectiveTerms
from engine.policy.document import Policy as Policy
from engine.policy.document import ReoptimiseTerms as ReoptimiseTerms
from engine.policy.document import SolverTerms as SolverTerms
from engine.policy.document import WindowTerms as WindowTerms
