"""A web service on engine-store with FastAPI: API keys, pages, conflicts, health."""
