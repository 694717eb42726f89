"""Text generation: strategies, searches and metrics (torch is imported inside the modules that compute)."""
