"""Pure functions over arrays that decide one window. Start at `choose.solve`."""
