"""Measuring what the representations are worth, in the field's own protocols.

Verification metrics, linear probes, identity preservation and reconstruction errors as library
functions, and the reports and plots that make their numbers traceable.
"""
