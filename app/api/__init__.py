"""The HTTP door. Flask lives here only."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import config, log, runtime
from app.api import (
    auth,
    batch,
    deps,
    docs,
    errors,
    files,
    generation,
    headers,
    health,
    limits,
    metrics,
    money,
    people,
    provider_webhooks,
    queue,
    requests,
    schemas,
    tokens,
    uploads,
    webhooks,
)
from app.api.forge.blueprints import BLUEPRINTS as FORGE
from app.api.games import assets as game_assets
from app.api.games import jobs as game_jobs
from app.api.games import style_packs
from app.api.live import socket, stream, watchers
from app.api.pictures import images, maintenance, migrate, scenes
from app.api.videos import figures as video_figures
from app.api.videos import videos
from app.api.videos import webhook as video_webhook
from app.runtime import Runtime

ONE_MEGABYTE = 1 << 20


def create_app(rt: Runtime | None = None) -> Flask:
    """Build the application around `rt`, or around the settings of the environment. Raises BadSettings."""
    if rt is None:
        settings = config.load()
        log.configure(settings.log_level, settings.log_format)
        rt = runtime.build(settings, name="atelier-web")
        # What is wrong with a provider's settings is told at the start, not with the first request.
        _ = rt.providers
    app = Flask("atelier", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=ONE_MEGABYTE, MAX_FORM_MEMORY_SIZE=ONE_MEGABYTE)
    deps.install(app, rt)
    headers.install(app)
    auth.install(app)
    schemas.install(app)
    limits.install(app)
    api = docs.install(app)
    errors.install(app)
    watchers.install(app, rt)
    socket.install(app)
    for part in (
        generation,
        requests,
        batch,
        queue,
        files,
        uploads,
        tokens,
        people,
        money,
        health,
        metrics,
        stream,
        provider_webhooks,
        webhooks,
        images,
        scenes,
        migrate,
        maintenance,
        game_assets,
        game_jobs,
        style_packs,
        videos,
        video_webhook,
        video_figures,
    ):
        api.register_blueprint(part.blp)
    for blp in FORGE:
        api.register_blueprint(blp)
    if rt.settings.proxy_hops:
        hops = rt.settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
