"""`interference verify-provider`: plays the contract's cases against any server that speaks it."""
