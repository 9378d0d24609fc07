"""What all fast tests share: hypothesis judges results, never the speed of a loaded machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("orch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orch")
