import { execSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

/** A stage of a Dockerfile whose steps were run in a folder that stands for its root. */
export interface Stage {
  readonly root: string
  workdir: string
  user: string
  readonly env: Record<string, string>
  cmd: string[]
  healthcheck: string[]
}

/**
 * Runs the steps of a Dockerfile without an engine: COPY and RUN happen in folders, with the Node that is here
 * instead of the base image. Knows what this project's file uses, and refuses the rest rather than skip it.
 *
 * @param context folder that COPY takes from
 * @param under folder in which the stages are made
 * @returns the last stage
 */
export function runDockerfile(text: string, context: string, under: string): Stage {
  const stages = new Map<string, Stage>()
  let stage: Stage | undefined
  for (const line of instructions(text)) {
    const [name, rest] = nameAndRest(line)
    if (name === 'FROM') {
      stage = newStage(under)
      stages.set(rest.split(/\s+AS\s+/i)[1] ?? '', stage)
    } else if (stage) run(stage, name, rest, (from) => (from ? (stages.get(from)?.root ?? '') : context))
  }
  if (!stage) throw new Error('no stage')
  return stage
}

/** What the last stage of a Dockerfile sets, without running anything. */
export function imageOf(text: string): Pick<Stage, 'cmd' | 'env'> {
  const stage: Stage = { root: '', workdir: '/', user: 'root', env: {}, cmd: [], healthcheck: [] }
  const lines = instructions(text)
  for (const line of lines.slice(lines.findLastIndex((each) => each.startsWith('FROM '))))
    if (/^(ENV|CMD) /.test(line)) run(stage, ...nameAndRest(line), () => '')
  return stage
}

/** What `.dockerignore` lets through, where that begins with `*` and names the exceptions. */
export function copyContext(source: string, context: string) {
  const [all, ...exceptions] = readFileSync(join(source, '.dockerignore'), 'utf8').trim().split('\n')
  if (all !== '*') throw new Error('.dockerignore must begin with *')
  for (const line of exceptions) {
    const name = line.replace(/^!/, '')
    cpSync(join(source, name), join(context, name), { recursive: true })
  }
}

function nameAndRest(line: string): [string, string] {
  const [, name = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
  return [name, rest]
}

/** Lines without comments, continued ones joined. */
const instructions = (text: string) =>
  text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')

function newStage(under: string): Stage {
  const root = mkdtempSync(join(under, 'stage-'))
  chmodSync(root, 0o755)
  return { root, workdir: '/', user: 'root', env: {}, cmd: [], healthcheck: [] }
}

function run(stage: Stage, name: string, rest: string, sourceOf: (from?: string) => string) {
  const here = join(stage.root, stage.workdir)
  switch (name) {
    case 'WORKDIR':
      stage.workdir = rest
      mkdirSync(join(stage.root, rest), { recursive: true })
      return
    case 'COPY': {
      const [, from, paths = ''] = /^(?:--from=(\S+)\s+)?(.*)$/.exec(rest) ?? []
      const [to = '', ...sources] = paths.split(/\s+/).toReversed()
      for (const path of sources)
        cpSync(join(sourceOf(from), path), join(here, to, to.endsWith('/') ? basename(path) : ''), {
          recursive: true,
          verbatimSymlinks: true,
        })
      return
    }
    case 'RUN': {
      // About what the base image brings, which is not here: never to be run on this machine.
      if (/(^|\s)\/(usr|opt)\//.test(rest)) return
      const { PATH, HOME } = process.env
      execSync(rest, { cwd: here, env: { PATH, HOME, ...stage.env }, stdio: 'pipe' })
      return
    }
    case 'ARG':
    case 'ENV':
      for (const pair of rest.split(/\s+/)) {
        const [key = '', value = ''] = pair.split('=')
        stage.env[key] = value
      }
      return
    case 'USER':
      stage.user = rest
      return
    case 'CMD':
      stage.cmd = JSON.parse(rest) as string[]
      return
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(rest.slice(rest.indexOf('['))) as string[]
      return
    case 'EXPOSE':
      return
    default:
      throw new Error(`unknown step: ${name} ${rest}`)
  }
}
