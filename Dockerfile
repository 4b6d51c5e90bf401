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
# A Myriad X stick (flight). It comes up as 03e7:2485 and, once its firmware is loaded, again as
# 03e7:f63b: a new device node, which --device would not see. So allow the USB class (major 189)
# and mount the bus:
#
#   docker run --rm --device-cgroup-rule='c 189:* rmw' -v /dev/bus/usb:/dev/bus/usb ... floodsat-flight ...
#
# The host's udev must let the user open the stick. /etc/udev/rules.d/97-myriad.rules:
#
#   SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"
#
# then: udevadm control --reload-rules && udevadm trigger. The container runs no udev, so libusb
# hears of the second device only with --network=host, through which the kernel's events come.

# ---------------------------------------------------------------------------- ground station
FROM python:3.11-slim-bookworm AS ground
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
HEALTHCHECK --interval=1m --timeout=20s --retries=3 CMD ["floodsat", "--help"]
ENTRYPOINT ["floodsat"]
CMD ["--help"]

# ------------------------------------------------------------------------------------ flight
# OpenVINO 2021.4.2 is built for x86-64 only; libusb is for the stick.
FROM python:3.9-slim-bookworm AS flight
RUN apt-get update \
    && apt-get install -y --no-install-recommends libexpat1 libusb-1.0-0 make \
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
HEALTHCHECK --interval=1m --timeout=20s --retries=3 CMD ["floodsat", "--help"]
ENTRYPOINT ["floodsat"]
CMD ["--help"]
