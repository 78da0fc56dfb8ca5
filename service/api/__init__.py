"""One router per resource, and what requests and responses have in common."""
