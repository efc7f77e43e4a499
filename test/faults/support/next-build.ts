import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

interface Journal {
  entries: { idx: number; when: number; tag: string; version: string; breakpoints: boolean }[]
}

/**
 * What comes after this build: its revision is `next`, and its migration adds a column to `items`.
 *
 * @returns the folder that it is run from
 */
export function nextBuild(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'groundwork-next-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['dist', 'migrations', 'package.json'])
    cpSync(name, join(folder, name), { recursive: true })
  symlinkSync(join(process.cwd(), 'node_modules'), join(folder, 'node_modules'))

  writeFileSync(join(folder, 'dist', 'build.json'), JSON.stringify({ revision: 'next' }))
  addMigration(join(folder, 'migrations'))
  return join(folder, 'dist')
}

function addMigration(folder: string) {
  const path = join(folder, 'meta', '_journal.json')
  const journal = JSON.parse(readFileSync(path, 'utf8')) as Journal
  const last = journal.entries.at(-1)!
  const tag = 'of_the_next_build'
  journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag })
  writeFileSync(path, JSON.stringify(journal))
  writeFileSync(join(folder, `${tag}.sql`), 'alter table items add column of_the_next_build text;')
}
