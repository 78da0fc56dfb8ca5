"""Requests and responses as the API and the client read them, one file a resource."""
