"""One quantizer that computes any of several, chosen by an index: what compiled trainings share."""
