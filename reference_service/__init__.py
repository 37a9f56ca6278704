"""Stands for any catalog entry until its team's image is there; README.md beside this file says how it is replaced."""
