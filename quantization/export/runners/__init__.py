"""What runs an export by its own runtime: one module a format, with `run(folder, inputs)` and `versions()`."""
