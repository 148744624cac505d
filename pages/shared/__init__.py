"""What several pages share and is no page itself."""
