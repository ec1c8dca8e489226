"""Models in worker processes, with a supervisor that loses no request when one of them dies."""
