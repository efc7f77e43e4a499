import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { installAside } from './aside.ts'

/** A Node 24 that the npm package `node` brings, until it is removed. */
export interface Node24 {
  /** Its folder, for PATH. */
  readonly bin: string
  readonly node: string
  readonly version: string
  remove(): void
}

/** Installs it aside, in 6 s. */
export function installNode24(): Node24 {
  const { folder, remove } = installAside('node', '24')
  const bin = join(folder, 'bin')
  const node = join(bin, 'node')
  return { bin, node, version: execFileSync(node, ['--version']).toString().trim(), remove }
}
