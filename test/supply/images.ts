import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** What .github/workflows/ci.yml runs. */
export const workflow = parse(readFileSync('.github/workflows/ci.yml', 'utf8')) as {
  jobs: Record<string, { container?: { image: string }; steps: { uses?: string }[] }>
}

/** Images that the Dockerfile builds on, compose.yaml runs, and CI runs in, as they are named there. */
export function images(): string[] {
  const dockerfile = readFileSync('Dockerfile', 'utf8')
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image = '']) => image)
  const { services } = parse(readFileSync('compose.yaml', 'utf8')) as {
    services: Record<string, { image?: string }>
  }
  const run = Object.values(services).flatMap(({ image }) => image ?? [])
  const inCi = Object.values(workflow.jobs).flatMap(({ container }) => container?.image ?? [])
  return [...new Set([...bases, ...run, ...inCi])]
}

/** By digest: the same bytes whatever the tag leads to later. */
export const isPinned = (image: string) => /@sha256:[\da-f]{64}$/.test(image)
