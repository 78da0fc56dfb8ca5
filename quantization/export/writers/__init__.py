"""What writes a model in a format: one module a format, with `write(model, folder, context) -> Written`."""
