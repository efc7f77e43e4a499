import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

/** Images that the Dockerfile builds on and compose.yaml runs, as they are named there. */
export function images(): string[] {
  const dockerfile = readFileSync('Dockerfile', 'utf8')
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image = '']) => image)
  const { services } = parse(readFileSync('compose.yaml', 'utf8')) as {
    services: Record<string, { image?: string }>
  }
  const run = Object.values(services).flatMap(({ image }) => image ?? [])
  return [...new Set([...bases, ...run])]
}

/** By digest: the same bytes whatever the tag leads to later. */
export const isPinned = (image: string) => /@sha256:[\da-f]{64}$/.test(image)
