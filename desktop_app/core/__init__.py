"""The application without its window: state, the steps in order, views as data, settings. Never imports Qt."""
