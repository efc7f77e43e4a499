import { realpathSync } from 'node:fs'
import { readFile, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { App } from '../../contract/contract.ts'
import { NotFound, ServiceUnavailable } from '../../contract/errors.ts'
import { frontendPolicy, isHashed } from './frontend-files.ts'
import { protectFile } from './web-page.ts'

const INDEX = 'index.html'

/** Beside the first segments of the service's own paths: below them, what is unknown is 404 and never the app. */
const RESERVED = ['api', 'docs', 'health', 'inbox', 'metrics']

interface Params {
  readonly '*': string
}

/**
 * The single-page app in FRONTEND_DIR, at every path that is none of the service's: its files, and index.html for what a
 * browser navigates to. The folder may be built anew while the service runs.
 */
export async function frontend(app: App) {
  const { FRONTEND_DIR, FRONTEND_CSP } = app.config
  if (FRONTEND_DIR === undefined) return
  const root = realpathSync(FRONTEND_DIR)
  const { default: files } = await import('@fastify/static')
  // Paths are checked below. Without `serve`, it adds no route of its own.
  await app.register(files, {
    root,
    serve: false,
    index: false,
    cacheControl: false,
    preCompressed: true,
    onFile: async (file) => {
      if (!(await realpath(file)).startsWith(root + sep)) throw new NotFound() // a compressed one, too
    },
    // Once it is sure that a file is sent: no cache should keep a 404 for a year.
    setHeaders: (reply, file) => {
      protectFile(reply, policies.get(reply)!)
      const path = (reply.request.params as Params)['*']
      const isAsked = ['', '.br', '.gz'].some((ending) => file === join(root, path + ending))
      if (isAsked && path !== INDEX) reply.headers(headersOf(path))
    },
  })
  const isOwn = ownPaths(app)
  const policyNow = policyOfIndex(join(root, INDEX), FRONTEND_CSP)
  const policies = new WeakMap<FastifyReply, string>()

  const route = { schema: { hide: true }, config: { unprepared: true } }
  app.get<{ Params: Params }>('/*', route, async (request, reply) => {
    const path = request.params['*']
    if (isOwn(path)) throw new NotFound()
    const isFile = path !== INDEX && (await isFileBelow(root, path))
    if (!isFile && path !== INDEX && path !== '' && !acceptsHtml(request)) throw new NotFound()
    policies.set(reply, await policyNow()) // or 503
    return reply.sendFile(isFile ? path : INDEX)
  })
}

const headersOf = (path: string) => ({
  'cache-control': isHashed(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
  'cross-origin-resource-policy': 'cross-origin', // its logo may stand in a mail
})

/** Whether a path is the service's: by its first segment. */
function ownPaths({ methodsByPath }: App): (path: string) => boolean {
  const firsts = [...methodsByPath.keys()].map((url) => url.split('/')[1]!)
  const own = new Set([...RESERVED, ...firsts.filter((first) => first !== '' && first !== '*')])
  return (path) => own.has(/[^/]+/.exec(path)?.[0] ?? '')
}

/** What a browser sends when somebody navigates. Scripts and fetch() accept anything, and want no page. */
const acceptsHtml = ({ headers: { accept = '' } }: FastifyRequest) => accept.includes('text/html')

/** Not for `..`, .env or .git. Whether a link leads out of the folder is seen when it is sent. */
async function isFileBelow(root: string, path: string): Promise<boolean> {
  if (path === '' || /(?:^|\/)(?:\.|\/|$)|[\0\\]/.test(path)) return false
  try {
    return (await stat(join(root, path))).isFile()
  } catch {
    return false // absent, or not to be read
  }
}

/** The policy for the index as it is now: it names the scripts in it. */
function policyOfIndex(index: string, own: string | undefined): () => Promise<string> {
  let known = { mtimeMs: Number.NaN, policy: '' }
  return async () => {
    if (own !== undefined) return own
    try {
      const { mtimeMs } = await stat(index)
      if (mtimeMs === known.mtimeMs) return known.policy
      const policy = frontendPolicy(await readFile(index, 'utf8'))
      known = { mtimeMs, policy }
      return policy
    } catch {
      throw new ServiceUnavailable() // a build empties the folder first
    }
  }
}
