import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'

/**
 * Tools of other ecosystems. They are got when a test needs them, into a cache, and not by everybody's `npm ci`:
 * together they are some hundred megabytes, and Python, Go or Java are not everybody's.
 */
const CACHE = resolve('node_modules/.cache/tools')

/** Whether a missing toolchain is a fault: a developer's machine need not have them all. */
export const isCI = process.env.CI === 'true'

/** Which of these commands are not there. */
export const missing = (commands: readonly string[]): string[] =>
  commands.filter((command) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0)

/**
 * Makes a folder of the cache with `make` where it is not there yet; a half made one is not taken for whole.
 *
 * @param content what it depends on
 */
export function cached(name: string, content: string, make: (folder: string) => void): string {
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 12)
  const folder = `${CACHE}/${name}-${hash}`
  if (existsSync(folder)) return folder
  const draft = `${folder}.${process.pid}`
  mkdirSync(draft, { recursive: true })
  try {
    make(draft)
    renameSync(draft, folder)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return folder
}

/** @returns the folder of packages that pip installed, for PYTHONPATH: unlike a venv it may be moved */
export const pythonPackages = (requirements: string): string =>
  cached('python', readFileSync(requirements, 'utf8'), (folder) => {
    const options = ['--quiet', '--disable-pip-version-check', '--no-input', '--no-deps']
    execFileSync('python3', ['-m', 'venv', `${folder}/pip`], { stdio: 'inherit' })
    execFileSync(`${folder}/pip/bin/pip`, ['install', ...options, '--target', folder, '-r', requirements], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    rmSync(`${folder}/pip`, { recursive: true })
  })
