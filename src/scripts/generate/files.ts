import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { format, resolveConfig } from 'prettier'

export const APP = 'src/app.ts'
export const CHANGELOG = 'CHANGELOG.md'
export const DOCUMENT = 'openapi.json'
/** The document of the last release. */
export const RELEASED = 'test/contract/released.json'

export const read = (path: string) => readFileSync(path, 'utf8')

export const readIfThere = (path: string) => (existsSync(path) ? read(path) : '')

/** Writes a file as `npm run format` would leave it. */
export async function writeFormatted(path: string, text: string): Promise<void> {
  const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path })
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, formatted)
}
