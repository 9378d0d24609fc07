"""orch: a declarative multi-container orchestrator for one machine."""

__version__ = "0.1.0"
