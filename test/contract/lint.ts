import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'

/** `npm run check:contract`: openapi.json before Redocly (redocly.yaml) and Spectral (.spectral.yaml). */

const linters = {
  redocly: ['lint', '--format=stylish'],
  spectral: ['lint', '--fail-severity=hint'],
}

/** Nobody is told what is linted here. */
const quiet = { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' }

/** Says nothing where nothing was found, as the other checks do. */
async function lint(linter: string, args: readonly string[]) {
  const env = { ...process.env, ...quiet }
  const child = spawn(`node_modules/.bin/${linter}`, [...args, 'openapi.json'], { env })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code === 0) return
  console.error(`${out}${err}`)
  process.exitCode = 1
}

await Promise.all(Object.entries(linters).map(([linter, args]) => lint(linter, args)))
