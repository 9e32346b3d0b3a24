# syntax=docker/dockerfile:1
# The service as one image for every role: `kyc serve`, `kyc worker`, `kyc migrate`. Pin PYTHON by digest where you build.
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
RUN python -m venv /opt/kyc && python -m venv /opt/tools
COPY requirements/tools.txt requirements/main.txt requirements/
RUN /opt/tools/bin/pip install --require-hashes -r requirements/tools.txt
RUN /opt/kyc/bin/pip install --require-hashes --only-binary :all: -r requirements/main.txt
COPY pyproject.toml README.md LICENSE ./
COPY packages packages
COPY kyc_service kyc_service
# poetry-core is in the tools alone: neither it nor anything else that builds ends up in the image.
RUN for project in packages/crowdpay-contracts packages/crowdpy-auth .; do \
        /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels "./$project" || exit 1; \
    done \
    && /opt/kyc/bin/pip install --no-deps --no-index wheels/*.whl \
    && /opt/kyc/bin/pip uninstall --yes pip

FROM ${PYTHON}
LABEL org.opencontainers.image.title="kyc-service" \
      org.opencontainers.image.description="Self-hosted, event-sourced Know-Your-Customer service" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 kyc \
    && useradd --uid 10001 --gid kyc --no-create-home --home-dir /var/lib/kyc --shell /usr/sbin/nologin kyc \
    && install -d -o kyc -g kyc -m 0700 /var/lib/kyc /keys
COPY --from=build /opt/kyc /opt/kyc
# Production from the start: whoever runs the image without its settings is told what is missing.
ENV PATH=/opt/kyc/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 KYC_ENV=production KYC_STATE_DIR=/var/lib/kyc
USER 10001:10001
WORKDIR /var/lib/kyc
EXPOSE 8180
# Of the API; compose.yaml has another one for the worker, which answers no requests.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8180/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["kyc"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8180"]
