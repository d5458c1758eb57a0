# One image for every process. The command selects the process:
#   node --min-semi-space-size=64 --max-semi-space-size=64 dist/api/main.js
#   node dist/ingest/main.js  dist/worker/main.js  dist/archiver/main.js  dist/engine/payments/simulator/main.js  dist/setup/main.js
# Debian instead of Alpine: Temporal's native core needs glibc.
ARG NODE_IMAGE=node:22.23.3-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-fund --no-audit --loglevel=error
COPY . .
RUN npm run build && find dist -name '.*' -type f -delete

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Temporal's package contains its core for five platforms, 140 MB. Keep only the one of this platform.
RUN npm ci --omit=dev --no-fund --no-audit --loglevel=error \
  && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 \
    ! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} + \
  && ls node_modules/@temporalio/core-bridge/releases/*/index.node

FROM ${NODE_IMAGE}
WORKDIR /app
# The simulator's ledger. A volume mounted here gets this owner.
RUN install -d -o 1000 -g 1000 /data
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY cli/flash-sale.mjs cli/
COPY --from=build /app/dist dist
# The default, loopback, is not reachable from outside the container.
ENV NODE_OPTIONS="--enable-source-maps --require=/app/dist/platform/no-workflow-call-stacks.js"
ENV NODE_ENV=production HOST=0.0.0.0 PAYMENT_LEDGER_FILE=/data/ledger.jsonl
# As a number, so that an orchestrator can verify that it is not root.
USER 1000:1000
# Set PORT for processes other than the gateway. This is a liveness check; readiness is up to the orchestrator.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ADMIN_PORT||process.env.PORT||9100}/livez`).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
CMD ["node", "--min-semi-space-size=64", "--max-semi-space-size=64", "dist/api/main.js"]
