# One image for the code location, the webserver and the daemon; docker-compose.yml says which of them a container is.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/revlake
COPY pyproject.toml constraints.txt README.md LICENSE ./
# The dependencies before our code, so that a change of ours does not install them again.
RUN pip install --no-cache-dir -c constraints.txt uv \
    && uv pip install --no-cache --python /opt/revlake/bin/python -c constraints.txt -r pyproject.toml
COPY bench bench
COPY dagster_home/dagster.yaml dagster_home/dagster.yaml
COPY embeddings embeddings
COPY lake_assets lake_assets
COPY lake_cli lake_cli
COPY lake_config lake_config
COPY partitions partitions
COPY resources resources
COPY sandbox sandbox
COPY serving serving
RUN uv pip install --no-cache --python /opt/revlake/bin/python --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home lake \
    && mkdir -p /lake/data-lake /lake/dagster_home/storage \
    && chown -R lake:lake /lake
COPY --from=build /opt/revlake /opt/revlake
COPY --chown=lake:lake lake.yaml /lake/lake.yaml
COPY --chown=lake:lake dagster_home/dagster.yaml /lake/dagster_home/dagster.yaml
ENV PATH=/opt/revlake/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/lake/dagster_home \
    LAKE_CONFIG=/lake/lake.yaml
USER lake
WORKDIR /lake
CMD ["lake", "--help"]
