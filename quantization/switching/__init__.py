"""One quantizer that computes any of several, chosen by an index, so that compiled trainings can be shared."""
