"""One trial: build, start from given weights, train, evaluate, save."""
