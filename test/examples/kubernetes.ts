import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { parseAllDocuments } from 'yaml'
import { pythonPackages } from '../support/tools.ts'
import { becomes, statusOf } from './pages.ts'

const FILE = 'docs/examples/kubernetes.yaml'
/** The oldest that the file names, and the newest that there is a schema of. */
const VERSIONS = ['1.30', '1.37']
/** What the service is given to end by itself, in seconds; the rest is for `preStop`. */
const STOPS_WITHIN = 10

type Seen = (what: string, holds: boolean, detail?: string) => void

interface Container {
  readonly command?: string[]
  readonly ports: { name: string; containerPort: number }[]
  readonly lifecycle: { preStop: { sleep: { seconds: number } } }
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
}
interface Probe {
  readonly httpGet: { path: string; port: string }
}
interface Pod {
  readonly securityContext: { runAsUser: number; runAsGroup: number }
  readonly terminationGracePeriodSeconds: number
  readonly containers: [Container]
}
interface Manifest {
  readonly kind: string
  readonly data: Record<string, string>
  readonly spec: { template: { spec: Pod } }
}

/** Whether the schemas of Kubernetes accept the file, and nothing in it is unknown to them. */
export function checkManifests(seen: Seen) {
  const PYTHONPATH = pythonPackages('test/examples/requirements.txt')
  const validate = (version: string, input: string) =>
    spawnSync('python3', ['-m', 'kubernetes_validate', '--strict', '-k', version, '-'], {
      encoding: 'utf8',
      input,
      env: { ...process.env, PYTHONPATH, PYTHONDONTWRITEBYTECODE: '1' },
    })
  const text = readFileSync(FILE, 'utf8')
  for (const version of VERSIONS) {
    const { status, stdout, stderr } = validate(version, text)
    seen(`Kubernetes ${version} knows everything in kubernetes.yaml`, status === 0, stdout + stderr)
  }
  const misspelt = validate(VERSIONS[0]!, text.replaceAll('readOnlyRootFilesystem', 'readOnlyRootFileSystem'))
  seen('and would not know a misspelt name', misspelt.status === 1, misspelt.stdout)
}

/**
 * Runs the Job and a container of the Deployment as the file says: its command or that of the image, its settings, user
 * and read-only files. There is no kubelet: probes are asked from here.
 *
 * @param app a build, which stands for the image
 * @param image of the Dockerfile: its command and environment
 * @param secret what is in the Secret; ports win over those of the file, as others listen on those here
 */
export async function runManifests(
  seen: Seen,
  app: string,
  image: { cmd: string[]; env: Record<string, string> },
  secret: Record<string, string>,
) {
  const manifests = parseAllDocuments(readFileSync(FILE, 'utf8')).map((each) => each.toJS() as Manifest)
  const find = (kind: string) => manifests.find((manifest) => manifest.kind === kind)!
  const settings = find('ConfigMap').data
  const [job, deployment] = [find('Job').spec.template.spec, find('Deployment').spec.template.spec]
  const [container] = deployment.containers
  const portOf = (name: string) => container.ports.find((port) => port.name === name)?.containerPort
  seen('its port is the one of the image', String(portOf('http')) === image.env.PORT)
  seen('metrics are where they are asked for', String(portOf('metrics')) === settings.METRICS_PORT)

  const env = { PATH: process.env.PATH, ...image.env, ...settings, ...secret }
  const url = `http://127.0.0.1:${secret.PORT}`
  const probe = ({ httpGet }: Probe) => url + httpGet.path
  const service = spawn(...asPod(deployment, container.command ?? image.cmd), {
    cwd: app,
    env,
    stdio: 'pipe',
  })
  const exited = once(service, 'exit')
  let output = ''
  for (const stream of [service.stdout, service.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  try {
    const live = await becomes(probe(container.livenessProbe), 200)
    seen('before the Job it is live', live, output)
    seen('but not ready', (await statusOf(probe(container.readinessProbe))) === 503)
    const migrated: SpawnSyncReturns<string> = spawnSync(...asPod(job, job.containers[0].command!), {
      cwd: app,
      env,
      encoding: 'utf8',
    })
    seen('the Job migrates', migrated.status === 0, migrated.stderr)
    seen('after it, it is ready', await becomes(probe(container.readinessProbe), 200), output)
    service.kill('SIGTERM')
    const [code] = (await exited) as [number | null]
    seen('SIGTERM ends it with 0', code === 0, output)
  } finally {
    service.kill('SIGKILL')
  }
  const { seconds } = container.lifecycle.preStop.sleep
  seen('it is given the time for that', deployment.terminationGracePeriodSeconds >= seconds + STOPS_WITHIN)
}

/** As its user, without rights, and with all files read-only. */
function asPod({ securityContext }: Pod, command: string[]): [string, string[]] {
  const { runAsUser, runAsGroup } = securityContext
  const drop = `--reuid ${runAsUser} --regid ${runAsGroup} --clear-groups --bounding-set=-all --no-new-privs`
  const script = `mount -o remount,bind,ro / && exec setpriv ${drop} "$0" "$@"`
  return ['unshare', ['--mount', 'sh', '-c', script, ...command]]
}
