# The service for production: small, without tools of development, as a user without rights.
# Debian's slim, as the glibc builds of the packages are the ones that are tested. `npm run test:image` runs these steps.

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY emails ./emails
# docker build --build-arg REVISION=$(git rev-parse HEAD) .
ARG REVISION=
RUN npm run build -- --revision="$REVISION"

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# npm installs what is optional to a dependency (the embedded database), and Sentry's tools for builds with its library: a
# command line, plugins of bundlers, a bundler and a parser. Of two builds of a package one is never loaded.
RUN npm ci --omit=dev \
  && rm -rf node_modules/@electric-sql node_modules/.bin \
    node_modules/sentry node_modules/@sentry/bundler-plugins node_modules/oxc-parser node_modules/@oxc-parser \
    node_modules/@oxc-project node_modules/rollup node_modules/magic-string node_modules/@jridgewell node_modules/dotenv \
    node_modules/@sentry/*/build/cjs node_modules/@opentelemetry/*/build/esm node_modules/@opentelemetry/*/build/esnext \
  && find node_modules -name '*.map' -delete -o -name '*.d.ts' -delete -o -name '*.d.mts' -delete -o -name '*.d.cts' -delete

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
ENV NODE_ENV=production ENVIRONMENT=production PORT=8000
# Nothing is installed from here on, and whoever gets in finds nothing to install with.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-v*
WORKDIR /app
COPY package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY migrations ./migrations
USER node
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# The options of `npm start`: by itself V8 takes more for young objects the more memory the machine has.
CMD ["node", "--enable-source-maps", "dist/server.js"]
