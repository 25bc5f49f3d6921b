"""What stock is worth to orders that are still to come: demand learned, futures sampled, prices followed."""
