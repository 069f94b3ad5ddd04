"""What a browser shows: self-contained pages of reports, galleries, and the page of ``serve``."""
