/** The table: what was measured, what it should be, and whether it is. */

export interface Row {
  readonly what: string
  readonly seen: string
  /** Undefined where it is only told. */
  readonly target?: string
  readonly met?: boolean
}

const rows: (Row | string)[] = []

/** A line of its own above the rows of a part. */
export function part(title: string): void {
  rows.push(title)
  console.log(`\n${title}`)
}

/** One thing that was measured; shown at once, and again in the table. */
export function row(what: string, seen: string, target?: string, met?: boolean): void {
  const found = { what, seen, ...(target !== undefined && { target }), ...(met !== undefined && { met }) }
  rows.push(found)
  console.log(`  ${line(found)}`)
}

/** A figure that must be at most, or at least, so much. */
export function bounded(
  what: string,
  figure: number,
  { most, least, unit = '', more = '' }: { most?: number; least?: number; unit?: string; more?: string },
): void {
  const met = figure <= (most ?? Infinity) && figure >= (least ?? -Infinity)
  const target = most === undefined ? `≥ ${least}${unit}` : `≤ ${most}${unit}`
  row(what, `${digits(figure)}${unit}${more && ` (${more})`}`, target, met)
}

export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K  ${text}\r`)
}

/** Prints everything, as Markdown for docs/benchmarks.md. */
export function printTable(): void {
  const found = rows.filter((row) => typeof row !== 'string')
  const missed = found.filter(({ met }) => met === false)
  console.log('\n| what | seen | target | |\n| --- | --- | --- | --- |')
  for (const row of rows)
    console.log(
      typeof row === 'string'
        ? `| **${row}** | | | |`
        : `| ${row.what} | ${row.seen} | ${row.target ?? ''} | ${mark(row)} |`,
    )
  console.log(`\n${found.filter(({ met }) => met).length} met, ${missed.length} missed`)
  for (const row of missed) console.log(`missed: ${line(row)}`)
}

const line = (row: Row) =>
  `${row.what}: ${row.seen}${row.target === undefined ? '' : `, wanted ${row.target} ${mark(row)}`}`
const mark = ({ met }: Row) => (met === undefined ? '' : met ? '✓' : '✗')

export const digits = (figure: number) =>
  Math.abs(figure) >= 100 ? figure.toFixed(0) : Math.abs(figure) >= 10 ? figure.toFixed(1) : figure.toFixed(2)

export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
