import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Before `npm start`: builds where something changed since the last build, as a start need not wait for a build that
 * would give the same. Plain JavaScript, as it runs before anything is built.
 */
const BUILT = 'dist/server.js'
const SOURCES = ['src', 'emails', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']

const newest = Math.max(...SOURCES.flatMap(files).map((file) => statSync(file).mtimeMs))
if (!existsSync('dist/mail/templates.json') || !existsSync(BUILT) || statSync(BUILT).mtimeMs < newest) {
  const started = new Date()
  const { status } = spawnSync(process.execPath, ['src/scripts/build.mjs'], { stdio: 'inherit' })
  // As of the moment it began: what changes while it builds is built next time.
  if (status === 0) utimesSync(BUILT, started, started)
  process.exitCode = status ?? 1
}

/**
 * Files and folders of a path; a folder's own time tells of what was removed.
 *
 * @param {string} path
 * @returns {string[]}
 */
function files(path) {
  if (!statSync(path).isDirectory()) return [path]
  return [path, ...readdirSync(path, { recursive: true }).map((name) => join(path, String(name)))]
}
