import { camelCase, singular, slug } from '../../../ownership/names.ts'

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
  const name = slug(table)
  return {
    table,
    one,
    constant: camelCase(table),
    routes: `${camelCase(one)}Routes`,
    file: `src/resources/${name}.ts`,
    test: `test/resources/${name}.test.ts`,
    module: `./resources/${name}.ts`,
    path: `/api/v1/${name}/`,
  }
}
