"""The application's model: state, the ordered steps, views as data, settings. Never imports Qt."""
