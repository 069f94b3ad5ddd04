"""The verbs over HTTP: networks that stay open, a queue, and one page to try them (extra: serve).

Nothing here is for the open internet: there is no encryption and no authentication.
"""
