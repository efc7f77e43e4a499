import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digits, part, progress, row } from './report.ts'

/** What `npm ci --omit=dev` brings. */
export function install() {
  part('Production install')
  progress('npm ci --omit=dev')
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-install-'))
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) copyFileSync(file, join(folder, file))
    execFileSync('npm', ['ci', '--omit=dev'], { cwd: folder, stdio: 'pipe' })
    const modules = join(folder, 'node_modules')
    const lock = readFileSync(join(modules, '.package-lock.json'), 'utf8')
    const { packages } = JSON.parse(lock) as { packages: Record<string, unknown> }
    row('npm ci --omit=dev', `${megabytes(modules).toFixed(0)} MB, ${Object.keys(packages).length} packages`)
    const largest = readdirSync(modules)
      .filter((name) => !name.startsWith('.'))
      .map((name) => ({ name, size: megabytes(join(modules, name)) }))
      .toSorted((a, b) => b.size - a.size)
      .slice(0, 6)
    row('the largest', largest.map(({ name, size }) => `${name} ${digits(size)}`).join(', '))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const megabytes = (path: string): number =>
  (readdirSync(path, { recursive: true }) as string[])
    .map((name) => statSync(join(path, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0) / 1e6
