import { execFileSync } from 'node:child_process'
import { appendFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Does in `folder`, a clone, the steps of its docs/resources.md under that heading. */
export function followSteps(folder: string, heading: string): void {
  const page = readFileSync(join(folder, 'docs/resources.md'), 'utf8')
  const [, section = ''] = page.split(`\n## ${heading}\n`)
  const [own = ''] = section.split(/^## /m)
  const steps = own.matchAll(/<!-- step: (\w+) ?(\S*) -->\n\n( *)```\w+\n([\s\S]*?)\n\3```/g)
  for (const [, kind, path = '', indent = '', block = ''] of steps) {
    const text = block
      .split('\n')
      .map((line) => line.slice(indent.length))
      .join('\n')
    if (kind === 'run') execFileSync('sh', ['-ec', text], { cwd: folder, stdio: 'pipe' })
    else if (kind === 'append') appendFileSync(fileOf(folder, path), `\n${text}\n`)
    else replace(fileOf(folder, path), text)
  }
}

/** A star in a name stands for what drizzle-kit numbers. */
function fileOf(folder: string, path: string): string {
  const [before = '', after] = basename(path).split('*')
  if (after === undefined) return join(folder, path)
  const found = readdirSync(join(folder, dirname(path))).find(
    (name) => name.startsWith(before) && name.endsWith(after),
  )
  if (found === undefined) throw new Error(`There is no ${path}`)
  return join(folder, dirname(path), found)
}

function replace(file: string, diff: string): void {
  const lines = (sign: string) =>
    diff
      .split('\n')
      .filter((line) => line.startsWith(sign))
      .map((line) => line.slice(1))
      .join('\n')
  const before = readFileSync(file, 'utf8')
  if (before.split(lines('-')).length !== 2) throw new Error(`${file} has ${lines('-')} not once`)
  writeFileSync(
    file,
    before.replace(lines('-'), () => lines('+')),
  )
}
