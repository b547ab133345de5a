"""The hosts of repositories by their own REST APIs: a request to take a branch in, opened and looked up."""
