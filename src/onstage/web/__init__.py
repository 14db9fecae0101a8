"""The web UI and the JSON API under it: `make_app` gives an application to serve alone or to mount."""
