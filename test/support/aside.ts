import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A package of npm that brings a program, in a folder of its own until it is removed. */
export interface Aside {
  /** The package's folder. */
  readonly folder: string
  remove(): void
}

/**
 * Installs a package that is no dependency of the project, with its install script, which puts the program in its place.
 *
 * @param name without its version
 * @param version as npm takes it
 */
export function installAside(name: string, version: string): Aside {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-aside-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    chmodSync(folder, 0o755) // PostgreSQL runs as another user
    const args = ['install', '--prefix', folder, '--no-save', '--ignore-scripts=false', `${name}@${version}`]
    execFileSync('npm', args, { stdio: 'pipe' })
    return { folder: join(folder, 'node_modules', name), remove }
  } catch (error) {
    remove()
    throw error
  }
}
