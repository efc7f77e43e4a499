import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { register } from 'node:module'

/**
 * Lets Node 20 run TypeScript as Node 24 does by itself: types are blanked, nothing moves. So V8's coverage and stack
 * traces are right as they come; those of tsx, which puts a file on one line, c8 can't map back.
 *
 *   node --import=./test/support/typescript.mjs file.ts
 *
 * A test that starts such a process passes its own `process.execArgv` on.
 */
if (!process.features.typescript) register(import.meta.url)

/** Each of a hundred processes would strip the same files: half a second each. */
const CACHE = new URL('../../node_modules/.cache/groundwork-stripped/', import.meta.url)

/** Node's hook, called in a thread of its own. */
export async function load(url, context, nextLoad) {
  const file = new URL(url)
  if (file.protocol !== 'file:' || !file.pathname.endsWith('.ts')) return nextLoad(url, context)
  file.search = '' // a query tells instances of a module apart
  return { format: 'module', source: await stripped(await readFile(file, 'utf8')), shortCircuit: true }
}

async function stripped(source) {
  const place = new URL(createHash('sha1').update(source).digest('hex'), CACHE)
  return readFile(place, 'utf8').catch(async () => {
    const { default: stripper } = await import('amaro')
    const { code } = stripper.transformSync(source, { mode: 'strip-only' })
    // Not by the process alone: two containers that share the folder number theirs alike.
    const draft = new URL(`${place.href}.${randomUUID()}`)
    await mkdir(CACHE, { recursive: true })
    await writeFile(draft, code)
    await rename(draft, place) // never half of one
    return code
  })
}
