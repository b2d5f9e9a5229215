"""Servicers, one a service: validate, delegate, nothing else."""
