import { spawnSync } from 'node:child_process'
import { isCI, missing } from '../support/tools.ts'

/**
 * `npm run openapi:diff`: what would break clients of the last release. released.json is the document of that release;
 * at a release, openapi.json is copied over it.
 */

/** Run by its version rather than installed: Go builds it once (a minute), and keeps it. */
const OASDIFF = 'github.com/oasdiff/oasdiff@v1.37.0'
const documents = ['test/contract/released.json', 'openapi.json']
/** A changed operationId renames a method of generated clients; oasdiff by itself lets that pass. */
const severity = ['--fail-on', 'WARN', '--severity-levels', 'test/contract/severity.txt']
const options = [...severity, '--warn-ignore', 'test/contract/accepted.txt', '--color', 'never']

if (missing(['go']).length > 0) {
  console.log('Not compared: there is no go')
  process.exitCode = isCI ? 1 : 0
} else {
  const { status } = spawnSync('go', ['run', OASDIFF, 'breaking', ...documents, ...options], {
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
}
