"""`fleet loadtest`: plan a load test from the catalog, have workers run it, judge what they measured, keep and show it."""
