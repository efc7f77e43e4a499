import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { images, isPinned } from './images.ts'

/**
 * `npm run check:supply`: known vulnerabilities of what production runs, and images that are not pinned by digest. With
 * --strict a registry that answers no audit is a failure too.
 */
const { values } = parseArgs({ options: { strict: { type: 'boolean', default: false } } })
const failures: string[] = []
const warnings: string[] = []

const { stdout, status } = spawnSync('npm audit --omit=dev --audit-level=high --json', {
  shell: true,
  encoding: 'utf8',
})
const { metadata } = readJson(stdout) as { metadata?: { vulnerabilities: Record<string, number> } }
if (metadata === undefined)
  warnings.push(
    'the registry answers no audit: `osv-scanner scan --offline --lockfile package-lock.json` does without it',
  )
else if (status !== 0) failures.push(`npm audit: ${JSON.stringify(metadata.vulnerabilities)}`)

for (const image of images()) if (!isPinned(image)) failures.push(`${image} is not pinned by digest`)

for (const text of warnings) console.log(`${values.strict ? '✗' : '!'} ${text}`)
for (const text of failures) console.log(`✗ ${text}`)
process.exitCode = failures.length > 0 || (values.strict && warnings.length > 0) ? 1 : 0

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
