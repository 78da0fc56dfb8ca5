"""The compiled training that trials of one shape share: state, steps, optimizers, caches, backends."""
