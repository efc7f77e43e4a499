import { existsSync, readFileSync } from 'node:fs'

/** Version and commit, for logs, health, metrics, traces and reports. */
export interface BuildInfo {
  /** From package.json, which is beside dist in an image too. */
  readonly version: string
  /** Commit of the build, if known (scripts/build.mjs). */
  readonly revision?: string
}

const read = (path: string): unknown => {
  const file = new URL(path, import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

const { version } = read('../../package.json') as BuildInfo
const { revision } = read('../build.json') as Partial<BuildInfo>

export const buildInfo: BuildInfo = { version, ...(revision !== undefined && { revision }) }

/** Both in one (Semantic Versioning, 10), for Sentry and OpenTelemetry. */
export const release = revision === undefined ? version : `${version}+${revision}`
