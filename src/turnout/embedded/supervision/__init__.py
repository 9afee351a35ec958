"""Processes that outlive the engine: started, watched, adopted, ended."""
