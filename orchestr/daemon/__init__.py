"""`orch daemon`: API, store, controllers and agent in one trio nursery. It may be killed or restarted at any moment.

`orchestr.daemon.run.main(instance)` runs it in the foreground.
"""
