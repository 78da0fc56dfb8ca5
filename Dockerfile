# syntax=docker/dockerfile:1
# Two images from one file: `--target api` (no TensorFlow) and `--target worker`.
ARG PYTHON=3.11-slim-bookworm

# --- what both are built with ---
FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/fewbits
WORKDIR /src
COPY requirements requirements
RUN /opt/fewbits/bin/pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY costmodel costmodel
COPY quantization quantization
COPY search search
COPY service service
COPY worker worker
COPY migrations migrations
COPY fewbits fewbits

FROM build AS build-api
RUN /opt/fewbits/bin/pip install --require-hashes --requirement requirements/uploads.txt \
    && /opt/fewbits/bin/pip install --no-deps --no-build-isolation .

FROM build-api AS build-worker
RUN /opt/fewbits/bin/pip install --require-hashes --requirement requirements/worker.txt

# --- what both run on ---
FROM python:${PYTHON} AS base
ENV PATH=/opt/fewbits/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    FEWBITS_HOME=/var/lib/fewbits
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/fewbits fewbits \
    && mkdir -p /var/lib/fewbits/blobs /var/lib/fewbits/data \
    && chown -R fewbits:fewbits /var/lib/fewbits
WORKDIR /var/lib/fewbits
USER fewbits
VOLUME /var/lib/fewbits

FROM base AS worker
COPY --from=build-worker /opt/fewbits /opt/fewbits
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=30s --timeout=20s --start-period=90s --retries=3 CMD ["fewbits", "worker", "--check"]
CMD ["fewbits", "worker"]

FROM base AS api
COPY --from=build-api /opt/fewbits /opt/fewbits
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/healthz', timeout=4)"]
CMD ["fewbits", "serve", "--no-worker", "--host", "0.0.0.0"]
