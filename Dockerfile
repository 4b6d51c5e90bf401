# FloodSat in containers, built with the same make targets as everywhere else.
#
#   docker build --target ground -t floodsat-ground .
#   docker run --rm -v "$PWD/out:/data" floodsat-ground demo --out demo-out
#
#   docker build --target flight -t floodsat-flight .
#   docker run --rm -v "$PWD/passes:/data" floodsat-flight --help
#
# The process is user 10001: folders that are mounted must be writable for it
# (chown 10001 out, or docker run --user "$(id -u)").
#
# Bases are pinned to a patch release and a Debian release. A tag can be moved, a digest cannot: to
# pin that too, put what `docker buildx imagetools inspect python:3.11.14-slim-bookworm` prints as
# Digest behind the tag, FROM python:3.11.14-slim-bookworm@sha256:...
#
# No image has been built where FloodSat is developed, for no engine runs there:
# tests/test_dockerfile.py runs this file's commands in a scratch folder instead.

# ---------------------------------------------------------------------------- ground station
FROM python:3.11.14-slim-bookworm AS ground
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/floodsat
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
# The libraries first: their layer stays as long as the pinned files do.
COPY Makefile pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY scripts scripts
RUN make base && rm -rf .venv-uv
COPY onboard onboard
COPY ground ground
COPY training training
COPY data_samples data_samples
RUN useradd --uid 10001 --create-home floodsat && install -d -o floodsat /data
USER floodsat
ENV PATH=/opt/floodsat/.venv/bin:$PATH
WORKDIR /data
# Reads the shipped bundle and checks its signature. Docker knows no exit code but 0 and 1.
HEALTHCHECK --interval=5m --timeout=30s --retries=3 \
    CMD floodsat inspect /opt/floodsat/data_samples/bundle || exit 1
ENTRYPOINT ["floodsat"]
CMD ["--help"]

# ------------------------------------------------------------------------------------ flight
# OpenVINO 2021.4.2 is built for x86-64 only, and drives a Myriad X stick on Python 3.9 at most.
#
# The stick. It comes up as 03e7:2485 and, once its firmware is loaded, again as 03e7:f63b: a new
# device node, which --device would not see. So allow the USB class (major 189) and mount the bus:
#
#   docker run --rm --device-cgroup-rule='c 189:* rmw' -v /dev/bus/usb:/dev/bus/usb floodsat-flight ...
#
# The host's udev must let user 10001 open both nodes. /etc/udev/rules.d/97-myriad.rules:
#
#   SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"
#
# then, on the host: udevadm control --reload-rules && udevadm trigger
#
# libusb comes with the pinned packages (libusb-package). It is built without udev and listens to
# the kernel itself: no udev runs in a container. If the stick is found and then lost there, try
# --network=host, through which events of the host come. docs/hil.md has more; none of it has been
# tried with a stick yet.
FROM python:3.9.25-slim-bookworm AS flight
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/floodsat
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
COPY Makefile pyproject.toml README.md LICENSE ./
COPY requirements requirements
COPY scripts scripts
RUN make flight-env && rm -rf .venv-uv
COPY onboard onboard
COPY data_samples/bundle data_samples/bundle
RUN useradd --uid 10001 --create-home floodsat && install -d -o floodsat /data
USER floodsat
ENV PATH=/opt/floodsat/.venv-flight/bin:$PATH
WORKDIR /data
HEALTHCHECK --interval=5m --timeout=30s --retries=3 \
    CMD floodsat inspect /opt/floodsat/data_samples/bundle || exit 1
ENTRYPOINT ["floodsat"]
CMD ["--help"]
