import { capitalized, inWords } from '../../../ownership/names.ts'

/** Edits of CHANGELOG.md, in the form of Keep a Changelog. */

/** The entry of a resource, by which `undo` finds it. */
export const resourceEntry = (table: string, path: string) =>
  `- ${capitalized(inWords(table))} (\`${path}\`), which belong to their owners.`

/** The beginning of a field's entry, by which `undo` finds it. */
export const fieldEntry = (table: string, rest = '') => `- ${capitalized(inWords(table))}: field \`${rest}`

const UNRELEASED = '## [Unreleased]'
const ADDED = '### Added'
const isRelease = (line: string) => line.startsWith('## ')

/** The changelog with one more entry, the first of what was added; sections that are missing are made. */
export function withAdded(changelog: string, entry: string): string {
  const lines = withUnreleased((changelog === '' ? '# Changelog\n' : changelog).split('\n'))
  const { start, end } = unreleasedIn(lines)
  const added = lines.indexOf(ADDED, start)
  if (added === -1 || added >= end) lines.splice(start + 1, 0, '', ADDED, '', entry)
  else {
    const first = lines.findIndex((line, at) => at > added && line !== '')
    const isList = first !== -1 && /^[-*] /.test(lines[first]!)
    if (isList) lines.splice(first, 0, entry)
    else lines.splice(added + 1, 0, '', entry)
  }
  return lines.join('\n')
}

/** The changelog without unreleased entries that begin in such a way, nor their further lines. */
export function withoutEntries(changelog: string, isGone: (entry: string) => boolean): string {
  const lines = changelog.split('\n')
  const { start, end } = unreleasedIn(lines)
  let isInGone = false
  const kept = lines.slice(start, end).filter((line) => {
    isInGone = /^[-*] /.test(line) ? isGone(line) : isInGone && line.startsWith('  ')
    return !isInGone
  })
  return [...lines.slice(0, start), ...withoutEmptyHeading(kept), ...lines.slice(end)].join('\n')
}

function withoutEmptyHeading(section: readonly string[]): readonly string[] {
  const added = section.indexOf(ADDED)
  const next = section.find((line, at) => at > added && line !== '')
  const isEmpty = added !== -1 && (next === undefined || next.startsWith('#'))
  return isEmpty ? section.toSpliced(added, 1) : section
}

function withUnreleased(lines: string[]): string[] {
  if (lines.includes(UNRELEASED)) return lines
  const first = lines.findIndex(isRelease)
  return first === -1 ? [...lines, UNRELEASED, ''] : lines.toSpliced(first, 0, UNRELEASED, '')
}

function unreleasedIn(lines: readonly string[]) {
  const start = lines.indexOf(UNRELEASED)
  const next = lines.findIndex((line, at) => at > start && isRelease(line))
  return { start: start === -1 ? lines.length : start, end: next === -1 ? lines.length : next }
}
