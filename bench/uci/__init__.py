"""The UCI replay: a gift wholesaler's real orders over a US network, decided jointly and by rule, on the same stock."""
