"""3D assets: the routes of the Asset Forge document [A30]-[A44], one blueprint for each thing."""
