"""The modules of the client: those in `_async` are written, those in `_sync` are generated from them."""
