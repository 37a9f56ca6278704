"""What an environment costs a month, reckoned from its synthesised templates, so that the report cannot disagree with what is deployed."""
