import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'tap'
import { parse } from 'yaml'
import { images, isPinned, workflow } from './supply/images.ts'

interface Package {
  version?: string
  integrity?: string
  license?: string
  dev?: boolean
  devOptional?: boolean
  hasInstallScript?: boolean
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, Package>
}
const installed = Object.entries(packages).filter(([path]) => path !== '')
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, Record<string, string>>

void test('every dependency has an exact version, and a hash in the lockfile', async (t) => {
  const named = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.overrides }
  for (const [name, version] of Object.entries(named))
    t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${name} is pinned`)
  const unchecked = installed.filter(([, { integrity }]) => integrity === undefined)
  t.strictSame(unchecked, [], 'the lockfile has the hash of each package')
})

void test('no package runs a script while it is installed', async (t) => {
  t.match(readFileSync('.npmrc', 'utf8'), /^ignore-scripts=true$/m)
  const named = Object.keys(manifest.scripts ?? {})
  const hooks = named.filter(
    (name) => /^(pre|post)/.test(name) && named.includes(name.replace(/^(pre|post)/, '')),
  )
  t.strictSame(hooks, [], 'npm would not run them either')
  const withScript = installed.filter(([, { hasInstallScript }]) => hasInstallScript)
  const names = new Set(withScript.map(([path]) => path.replace(/^.*node_modules\//, '')))
  t.strictSame(
    [...names].toSorted(),
    ['@scarf/scarf', 'esbuild'],
    'both work without: a new one has to be looked at',
  )
})

void test('production dependencies have permissive licences only', async (t) => {
  const permissive = /^(MIT|MIT-0|ISC|Apache-2\.0|BSD-2-Clause|BSD-3-Clause|0BSD|BlueOak-1\.0\.0|Unlicense)$/
  // Sentry's command line, optional to its library: the image leaves it out.
  const absent = ['node_modules/sentry']
  const others = installed.filter(
    ([path, { dev, license = 'none' }]) => !dev && !permissive.test(license) && !absent.includes(path),
  )
  t.strictSame(
    others.map(([path, { license }]) => `${path}: ${license}`),
    [],
  )
  const dockerfile = readFileSync('Dockerfile', 'utf8')
  for (const path of absent) t.match(dockerfile, ` ${path} `)
})

void test('the SBOM lists the production dependencies, without development tools', async (t) => {
  const { stdout } = spawnSync(process.execPath, [...process.execArgv, 'test/supply/sbom.ts'], {
    encoding: 'utf8',
  })
  const { bomFormat, components } = JSON.parse(stdout) as {
    bomFormat: string
    components: { name: string }[]
  }
  t.equal(bomFormat, 'CycloneDX')
  const names = new Set(components.map(({ name }) => name))
  for (const name of Object.keys(manifest.dependencies!)) t.ok(names.has(name), name)
  t.notOk(names.has('tap'), 'tools of development are not listed')
})

void test('containers have a read-only file system, no capabilities, and do not run as root', async (t) => {
  const { services } = parse(readFileSync('compose.yaml', 'utf8')) as {
    services: Record<string, Record<string, unknown>>
  }
  for (const [name, service] of Object.entries(services)) {
    t.match(service, { read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] }, name)
    t.notOk('privileged' in service, name)
  }
  const [last = ''] = readFileSync('Dockerfile', 'utf8')
    .split(/^FROM /m)
    .slice(-1)
  t.match(last, /^RUN rm -rf .*\/usr\/local\/lib\/node_modules /m, 'no npm in the image')
  t.match(last, /^USER node$/m)
})

void test('each action of CI is pinned by its commit', async (t) => {
  for (const { uses } of Object.values(workflow.jobs).flatMap(({ steps }) => steps))
    if (uses !== undefined) t.match(uses, /@[\da-f]{40}$/, uses)
})

void test('each image is named by a version and pinned by digest, and a bot renews both', async (t) => {
  t.ok(images().length >= 3)
  for (const image of images()) {
    t.match(image, /:v?\d+\.\d+/, image)
    t.ok(isPinned(image), image)
  }
  const { extends: rules } = JSON.parse(readFileSync('renovate.json', 'utf8')) as { extends: string[] }
  t.ok(rules.includes('docker:pinDigests'))
})
