import { type SpawnSyncReturns, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { copyContext, runDockerfile } from './support/dockerfile.ts'
import { freePort, startPostgres } from './support/postgres.ts'
import { onlyFor } from './supply/reached.ts'

/**
 * `npm run test:image`: reads the Dockerfile, runs its steps on a clean clone of what is committed, and runs what
 * comes out as the image would, as a user without rights, on a throwaway PostgreSQL. The base image itself is not
 * tested: Node is the one that is here.
 */

const folder = mkdtempSync(join(tmpdir(), 'groundwork-image-'))
let passed = 0
let failed = 0

function seen(what: string, holds: boolean, detail = '') {
  if (holds) passed += 1
  else failed += 1
  console.log(holds ? `  ✓ ${what}` : `  ✗ ${what}: ${detail}`)
}

const megabytes = (path: string): number =>
  (readdirSync(path, { recursive: true }) as string[])
    .map((name) => statSync(join(path, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0) / 1e6

/** Sends an error as reporting.ts does, to a server of its own, and prints what came. */
const SEND_TO_SENTRY = `
  import { createServer } from 'node:http'
  import { init, captureException, close } from '@sentry/node'
  const server = createServer((request, response) => {
    request.on('data', (chunk) => console.log(String(chunk))).on('end', () => response.end('{}'))
  }).listen(0, '127.0.0.1', async () => {
    init({ dsn: 'http://key@127.0.0.1:' + server.address().port + '/1', defaultIntegrations: false })
    captureException(new Error('sent from the image'))
    await close(5_000)
    server.close()
  })`

try {
  chmodSync(folder, 0o755)
  const [clone, context] = [join(folder, 'clone'), join(folder, 'context')]
  execFileSync('git', ['clone', '--quiet', process.cwd(), clone])
  copyContext(clone, context)
  const image = runDockerfile(readFileSync(join(clone, 'Dockerfile'), 'utf8'), context, folder)
  const app = join(image.root, image.workdir)
  const modules = join(app, 'node_modules')
  console.log(
    `dist ${megabytes(join(app, 'dist')).toFixed(1)} MB, node_modules ${megabytes(modules).toFixed(0)} MB`,
  )
  seen('the steps of the Dockerfile run', image.cmd.length > 0)
  seen(
    'no secret and no source is in it',
    readdirSync(app).toSorted().join() === 'dist,migrations,node_modules,package.json',
    readdirSync(app).join(),
  )

  // What a dependency of the service needs as well (yaml) is not marked so.
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  const tools = Object.keys(packages).filter((name) => packages[name]!.dev && existsSync(join(app, name)))
  seen('tools of development are absent', tools.length === 0, tools.join(', '))

  const forBuilds = onlyFor('node_modules/@sentry/bundler-plugins')
  const left = forBuilds.filter((name) => existsSync(join(app, name)))
  seen(
    `tools that Sentry has for builds are absent (${forBuilds.length} packages)`,
    forBuilds.length > 1 && left.length === 0,
    left.join(', '),
  )

  const port = String(await freePort())
  const server = await startPostgres()
  const env = { PATH: process.env.PATH, ...image.env, PORT: port }
  // As `USER` has it: nobody's files are this user's.
  const as = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {}
  const run = (command: string[], more = {}): SpawnSyncReturns<string> =>
    spawnSync(command[0]!, command.slice(1), { ...as, cwd: app, env: { ...env, ...more }, encoding: 'utf8' })
  try {
    const settings = {
      DATABASE_URL: server.url,
      SECRET_KEY: 'only for tests, and long enough for that',
      FIRST_SUPERUSER_PASSWORD: 'not for anything real',
      // Packages that are loaded only where these are set.
      SENTRY_DSN: 'http://key@127.0.0.1:1/1',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      METRICS_PORT: String(await freePort()),
      SMTP_HOST: '127.0.0.1',
      EMAILS_FROM_EMAIL: 'groundwork@example.com',
      PUBLIC_URL: 'https://api.example.com',
    }
    const sent = run(['node', '--input-type=module', '--eval', SEND_TO_SENTRY])
    seen('Sentry is told of an error', sent.stdout.includes('sent from the image'), sent.stderr)
    const bare = run(image.cmd)
    seen(
      'it asks for what it needs',
      bare.status === 1 && bare.stderr.includes('- DATABASE_URL: needed'),
      bare.stderr,
    )
    const embedded = run(image.cmd, { ENVIRONMENT: 'local', SECRET_KEY: settings.SECRET_KEY })
    seen(
      'it says that the embedded database is absent',
      embedded.stderr.startsWith('DATABASE_URL is not set'),
      embedded.stderr,
    )
    const migrated = run(['node', 'dist/scripts/migrate.js'], settings)
    seen('migrations can be run alone', migrated.status === 0, migrated.stderr)

    const service = spawn(image.cmd[0]!, image.cmd.slice(1), {
      ...as,
      cwd: app,
      env: { ...env, ...settings },
      stdio: 'pipe',
    })
    const exited = once(service, 'exit')
    let output = ''
    for (const stream of [service.stdout, service.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    try {
      const url = `http://127.0.0.1:${port}`
      const status = (path: string, init?: RequestInit) =>
        fetch(url + path, init).then(
          (answer) => answer.status,
          () => 0,
        )
      for (const end = Date.now() + 30_000; (await status('/health/ready')) !== 200; await pause(50))
        if (service.exitCode !== null || Date.now() > end) throw new Error(`not ready: ${output}`)
      seen(`the image's user (${image.user}) runs it`, image.user !== 'root')
      seen('the health check is content', run(image.healthcheck).status === 0)
      const body = new URLSearchParams({
        username: 'admin@example.com',
        password: settings.FIRST_SUPERUSER_PASSWORD,
      })
      seen(
        'the first superuser signs in',
        (await status('/api/v1/login/access-token', { method: 'POST', body })) === 200,
      )
      seen(
        'the docs are off',
        (await status('/docs')) === 404 && (await status('/api/v1/openapi.json')) === 404,
      )
      service.kill('SIGTERM')
      const [code] = (await exited) as [number | null]
      seen('SIGTERM ends it with 0', code === 0, `exit code ${code}: ${output}`)
      seen('the health check notices', run(image.healthcheck).status === 1)
    } finally {
      service.kill('SIGKILL')
    }
  } finally {
    await server.stop()
  }
} catch (error) {
  console.error(error)
  failed += 1
} finally {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
