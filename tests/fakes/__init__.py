"""Stand-ins for providers: what Atelier calls, never Atelier itself."""
