import { Agent } from 'node:http'
import { setPriority } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type Attacker, attacks, send } from './attacks.ts'

/**
 * One attacker in a process and on an address of its own, until it is told to stop. At the lowest priority: a real one
 * has its own machine. Tells its parent how many of its requests were answered with which status.
 */
const [name, url, attacker] = process.argv.slice(2) as [string, string, string]
const attack = attacks[name]!
const knows = JSON.parse(attacker) as Attacker

setPriority(19)
const agent = new Agent({ keepAlive: true, maxSockets: attack.connections })
const options = { agent, localAddress: '127.0.0.66' }
const statuses: Record<string, number> = {}
const stop = new AbortController()
let n = 0

async function attackAgain() {
  while (!stop.signal.aborted) {
    const { status } = await send(url, attack.next(knows, n++), options)
    statuses[status] = (statuses[status] ?? 0) + 1
    // Where nobody listens any more, it does not spin.
    if (status === 0) await pause(1)
  }
}

process.once('message', () => {
  stop.abort()
  process.send?.(statuses, () => process.exit(0))
})
void Promise.all(Array.from({ length: attack.connections }, attackAgain))
