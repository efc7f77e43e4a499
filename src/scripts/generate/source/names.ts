import { camelCase, singular } from '../../../ownership/names.ts'

/** What a resource is called in each place. */
export interface Names {
  readonly table: string
  /** What one row is called, in snake_case. */
  readonly one: string
  readonly constant: string
  readonly routes: string
  readonly file: string
  readonly test: string
  /** As src/app.ts imports it. */
  readonly module: string
  readonly path: string
}

export function namesOf(table: string, one = singular(table)): Names {
  const slug = table.replaceAll('_', '-')
  return {
    table,
    one,
    constant: camelCase(table),
    routes: `${camelCase(one)}Routes`,
    file: `src/resources/${slug}.ts`,
    test: `test/resources/${slug}.test.ts`,
    module: `./resources/${slug}.ts`,
    path: `/api/v1/${slug}/`,
  }
}
