"""What each verb does: ``(given, client, screen) -> exit status``. A module is loaded when a verb of it is called."""
