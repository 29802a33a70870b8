"""Views as marks on a page, and pages as SVG, PDF and PNG. Never Qt."""
