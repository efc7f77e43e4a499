import { execFileSync } from 'node:child_process'

/**
 * Builds the service where something changed since it was built last.
 *
 * @throws where it does not build
 */
export function buildIfChanged(): void {
  execFileSync(process.execPath, ['src/scripts/build-if-changed.mjs'], { stdio: 'inherit' })
}
