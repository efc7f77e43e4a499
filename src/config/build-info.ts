import { existsSync, readFileSync } from 'node:fs'

/** Which build this is, for logs, health, metrics, traces and reports. */
export interface BuildInfo {
  /** Of the package: package.json stands beside the folder of the code, in an image too. */
  readonly version: string
  /** The commit that it was built from, where the build knew it (scripts/build.mjs). */
  readonly revision?: string
}

const read = (path: string): unknown => {
  const file = new URL(path, import.meta.url)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

const { version } = read('../../package.json') as BuildInfo
const { revision } = read('../build.json') as Partial<BuildInfo>

export const buildInfo: BuildInfo = { version, ...(revision !== undefined && { revision }) }

/** Both in one, as Sentry and OpenTelemetry have it (and Semantic Versioning, 10). */
export const release = revision === undefined ? version : `${version}+${revision}`
