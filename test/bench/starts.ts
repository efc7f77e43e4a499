import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bounded, median, part } from './report.ts'
import { startServer } from './servers.ts'
import type { World } from './world.ts'

/** From the process's start to the first 200 of /health/ready. */
export async function starts(world: World, times: number) {
  part('Start to ready')
  const start = async (env: Record<string, string>, folder?: string) => {
    const service = await startServer({ what: 'service', env, ...(folder !== undefined && { folder }) })
    await service.stop()
    return service.readyAfter / 1000
  }
  const several = async (one: () => Promise<number>) => {
    const seen: number[] = []
    for (let n = 0; n < times; n += 1) seen.push(await one())
    return median(seen)
  }
  await start({ DATABASE_URL: world.url })
  const postgres = await several(() => start({ DATABASE_URL: world.url }))
  bounded('on PostgreSQL, warm', postgres, { most: 0.8, unit: ' s' })
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-bench-'))
  try {
    const env = { ENVIRONMENT: 'local', LOG_LEVEL: 'warn' }
    bounded('embedded, first', await start(env, folder), { most: 5, unit: ' s' })
    bounded('embedded, warm', await several(() => start(env, folder)), { most: 1.5, unit: ' s' })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
