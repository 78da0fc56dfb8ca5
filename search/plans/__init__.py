"""A job checked against its model and data. Plain: the dry run and the worker start from the same plan."""
