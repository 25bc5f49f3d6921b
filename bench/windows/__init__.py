"""How fast and how well random windows are decided, against an optimum that other code proves."""
