"""Models in worker processes: a supervisor that loses no request when one of them ends."""
