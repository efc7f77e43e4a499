import { readFile } from 'node:fs/promises'
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

let stripper

/** Node's hook, called in a thread of its own. */
export async function load(url, context, nextLoad) {
  const file = new URL(url)
  if (file.protocol !== 'file:' || !file.pathname.endsWith('.ts')) return nextLoad(url, context)
  stripper ??= (await import('amaro')).default
  file.search = '' // a query tells instances of a module apart
  const { code } = stripper.transformSync(await readFile(file, 'utf8'), { mode: 'strip-only' })
  return { format: 'module', source: code, shortCircuit: true }
}
