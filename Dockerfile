# mer on a CPU: docker build -t mer . ; docker run --rm -v "$PWD:/data" mer predict clip.avi --model runs/first
FROM python:3.13-slim
# OpenCV's wheel draws windows too, and wants these for it.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
# "cpu" takes PyTorch's CPU wheels, which spares 5 GB of CUDA libraries; "auto" those that fit the machine.
ARG TORCH=cpu
WORKDIR /mer
COPY . .
# The face models are stored in the image; nothing is fetched when it runs.
ENV MER_MODELS=/opt/mer-models
RUN pip install --no-cache-dir uv \
    && uv pip install --system --no-cache --torch-backend "$TORCH" ".[demo,export,web]" \
    && mer setup && chmod -R a+rX "$MER_MODELS"
WORKDIR /data
ENTRYPOINT ["mer"]
