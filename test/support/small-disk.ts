import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

const isRoot = process.getuid?.() === 0

/** For tests that mount one: where a developer may not, CI must. */
export const mayMount = {
  skip: !isRoot && process.env.CI === undefined && 'needs root, to mount a small disk',
}

/** A disk in memory, which goes when the test ends. */
export function mountDisk(t: Test, megabytes: number): string {
  const disk = mkdtempSync(join(tmpdir(), 'groundwork-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', disk])
  chmodSync(disk, 0o755)
  t.teardown(() => {
    execFileSync('umount', ['--lazy', disk])
    rmSync(disk, { recursive: true, force: true })
  })
  return disk
}
