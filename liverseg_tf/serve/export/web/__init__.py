"""Export of a run as a page that segments in the browser."""
