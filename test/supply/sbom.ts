import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * `npm run --silent sbom`: what production is made of, as CycloneDX. From the manifests without what is for development:
 * `npm sbom --omit=dev` leaves out what a tool depends on too (nodemailer), and stops at tools whose peers do not fit.
 */

interface Manifest {
  devDependencies?: object
}
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, Manifest & { dev?: boolean }>
}
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
delete manifest.devDependencies
delete lock.packages['']!.devDependencies
for (const [path, { dev }] of Object.entries(lock.packages)) if (dev) delete lock.packages[path]

const folder = mkdtempSync(join(tmpdir(), 'groundwork-sbom-'))
try {
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
  const command = 'npm sbom --package-lock-only --legacy-peer-deps --sbom-format=cyclonedx'
  process.stdout.write(execFileSync(command, { cwd: folder, shell: true, maxBuffer: 2 ** 25 }))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
