"""What the app knows: state, the ordered steps, views as data, settings. Never Qt."""
