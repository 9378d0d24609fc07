"""Registries: OCI distribution-spec 1.1, and Docker's registry with manifests of schema 2.

settings.py says where images come from, credentials.py who we are there, session.py speaks with one of them; pull.py
and push.py move an image. The two run in a process of their own, worker.py: what is heavy to import, and what a
hostile registry can do, stays out of the daemon.
"""
