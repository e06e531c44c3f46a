# edgeseg live in a container, on a processor. Written and not built yet: no machine with Docker was at hand.
#
#   docker build -t edgeseg-live .
#   docker run --rm -p 127.0.0.1:8080:8080 edgeseg-live                                  # a rendered street
#   docker run --rm -p 127.0.0.1:8080:8080 --device /dev/video0 edgeseg-live 0           # a USB camera
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/street:/street:ro" edgeseg-live streets --model /street
#
# Inside, the page is served to all addresses, because Docker forwards none to 127.0.0.1. So it wants the token that the
# container prints: open that address with 127.0.0.1 in the place of the container's name.
FROM python:3.12-slim

# from the CPU's index: PyPI's torch brings 5 GB of CUDA
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
WORKDIR /edgeseg
COPY pyproject.toml README.md LICENSE ./
COPY edgeseg edgeseg
# onnxruntime and openvino run artefacts; what builds them stays where they are built
RUN pip install --no-cache-dir ".[video]" onnxruntime openvino

# /dev/video0 belongs to this group
RUN useradd --create-home --groups video live
USER live
WORKDIR /home/live
EXPOSE 8080
ENTRYPOINT ["edgeseg", "live", "--host", "0.0.0.0"]
CMD ["streets"]
