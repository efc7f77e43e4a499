import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type Built, withBuilt } from '../support/built.ts'
import { finish } from '../support/suite.ts'
import { isCI, missing } from '../support/tools.ts'
import { type Client, clients } from './languages.ts'

/**
 * `npm run test:clients`: for each language what docs/clients.md says, line by line, in an empty folder with openapi.json; what
 * came of it is compiled as strictly as the language can, and goes through one scenario with the built service.
 *
 * The generators stand in docs/clients.md alone: they are for those who use the service, and heavy, so that everybody's
 * `npm ci` does without them.
 */

const page = readFileSync('docs/clients.md', 'utf8')
/** One name after another runs these alone: `npm run test:clients -- go`. */
const wanted = process.argv.slice(2)
const root = mkdtempSync(join(tmpdir(), 'groundwork-clients-'))

const told = [...page.matchAll(/<!-- client: (\S+) -->/g)].map(([, name]) => name)
if (told.join() !== clients.map(({ name }) => name).join())
  throw new Error(`docs/clients.md tells of the clients ${told.join()}, and others are tried`)

/** The fenced blocks of a part of the page. */
function instructions(mark: string): { language: string; text: string }[] {
  const [, part = ''] = page.split(new RegExp(`<!-- /?${mark} -->`))
  return [...part.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language = '', text = '']) => ({
    language,
    text,
  }))
}

/** A file of the page begins with its name. */
function fileName(text: string): string {
  const [, name] = /^\/\/ (\S+)\n/.exec(text) ?? []
  if (name === undefined)
    throw new Error(`docs/clients.md has a block that is neither a command nor a file:\n${text}`)
  return name
}

/** @throws Error with all that was printed, where the command fails */
async function run(command: string, cwd: string, env: Record<string, string> = {}): Promise<string> {
  const child = spawn('sh', ['-c', command], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`$ ${command}\n${out}${err}`)
  return out
}

/** Does what a part of the page says. @returns the folder that it was done in */
async function follow(mark: string): Promise<string> {
  const folder = join(root, mark.replaceAll(/\W+/g, '-'))
  mkdirSync(folder)
  cpSync('openapi.json', join(folder, 'openapi.json'))
  const blocks = instructions(mark)
  if (blocks.length === 0) throw new Error(`docs/clients.md has no ${mark}`)
  for (const { language, text } of blocks) {
    if (language === 'sh') for (const line of text.trim().split('\n')) await run(line, folder)
    else writeFileSync(join(folder, fileName(text)), text)
  }
  return folder
}

/** @returns the steps of the scenario that were seen */
async function walk({ name, sources, place, checks }: Client, { url }: Built): Promise<number> {
  const folder = await follow(`client: ${name}`)
  for (const source of sources)
    cpSync(resolve('test/clients', source), join(folder, place), { recursive: true })
  let output = ''
  for (const check of checks)
    output += await run(check, folder, { BASE_URL: url, TSX: resolve('node_modules/.bin/tsx') })
  // Not at the start of lines alone: Maven begins its output with an escape sequence.
  return [...output.matchAll(/✓ /g)].length
}

async function tell(client: Client, service: Built): Promise<{ passed: number; failed: number }> {
  const since = Date.now()
  try {
    const steps = await walk(client, service)
    const all = STEPS + (OF_ACCOUNTS.has(client.name) ? 2 : 0)
    if (steps !== all) throw new Error(`${steps} of ${all} steps`)
    console.log(`✓ ${client.name}: ${steps} steps, ${((Date.now() - since) / 1000).toFixed(0)} s`)
    return { passed: steps, failed: 0 }
  } catch (error) {
    console.log(`✗ ${client.name}: ${error instanceof Error ? error.message : String(error)}`)
    return { passed: 0, failed: 1 }
  }
}

/** The copy of the document in OpenAPI 3.0 is valid. */
async function convert(): Promise<{ passed: number; failed: number }> {
  try {
    const copy = join(await follow(OLDER), 'openapi-3.0.json')
    const { openapi } = JSON.parse(readFileSync(copy, 'utf8')) as { openapi: string }
    if (!openapi.startsWith('3.0.')) throw new Error(`it is ${openapi}`)
    await run(`node_modules/.bin/redocly lint --extends=spec ${copy}`, '.', { REDOCLY_TELEMETRY: 'off' })
    console.log(`✓ ${OLDER}`)
    return { passed: 1, failed: 0 }
  } catch (error) {
    console.log(`✗ ${OLDER}: ${error instanceof Error ? error.message : String(error)}`)
    return { passed: 0, failed: 1 }
  }
}

const OLDER = 'openapi-3.0'

/** Sign up, log in, refresh, create, list, update, delete, and a 403, a 404 and a 422. */
const STEPS = 10
/** Those that also sign in with a second factor, and use an API key. */
const OF_ACCOUNTS = new Set(['hey-api', 'openapi-fetch', 'python'])

const chosen = clients.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
const absent = chosen.filter(({ name, tools }) => {
  const lacking = missing(tools)
  if (lacking.length > 0) console.log(`${isCI ? '✗' : '-'} ${name}: there is no ${lacking.join(', ')}`)
  return lacking.length > 0
})
const total = { passed: 0, failed: isCI ? absent.length : 0 }
const add = ({ passed, failed }: { passed: number; failed: number }) => {
  total.passed += passed
  total.failed += failed
}
try {
  if (wanted.length === 0 || wanted.includes(OLDER)) add(await convert())
  await withBuilt(1, async ([service]) => {
    for (const client of chosen.filter((one) => !absent.includes(one))) add(await tell(client, service))
  })
} finally {
  rmSync(root, { recursive: true, force: true })
}
console.log(`${chosen.length - absent.length} clients`)
finish(total)
