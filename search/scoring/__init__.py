"""How trials compare: the forgiving factor and the Pareto front. Plain: nothing here loads Keras."""
