"""orch-supervisor: one small process, the parent of every container. It forks them, holds their log pipes, records
their exits, and outlives the daemon. Single-threaded, few imports: fork is cheap and safe."""
