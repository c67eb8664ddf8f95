# docker build -t darkroom .
# docker run --rm -it --gpus all --shm-size=2g --user "$(id -u):$(id -g)" -e HOME=/tmp \
#   -v "$PWD":/project darkroom dvc repro
# A project: `... darkroom darkroom new .` in an empty folder. Without a GPU leave out `--gpus all`.
FROM python:3.12-slim

# git: a submission records its commit.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv

WORKDIR /darkroom
COPY requirements.lock ./
RUN uv pip install --system --no-cache --require-hashes --compile-bytecode -r requirements.lock
COPY . .
RUN uv pip install --system --no-cache --no-deps .

WORKDIR /project
CMD ["darkroom", "doctor"]
