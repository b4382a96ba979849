"""All that is served for 3D assets."""

from app.api.forge import assets, health, pipelines, presets, prompts, variants, weapons

BLUEPRINTS = tuple(part.blp for part in (health, pipelines, assets, variants, presets, prompts, weapons))
