"""Other artifacts of a model beside the one that serves: a shadow is compared, and a canary answers a share."""
