"""The whole pass in one zoomable picture, the sheet: where each tensor lies, what a pixel shows, how the view moves."""
