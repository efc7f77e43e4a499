import { parseArgs } from 'node:util'

export interface WalkOptions {
  /** The service that is to be walked; undefined where none was named. */
  readonly base: URL | undefined
  readonly email: string
  readonly password: string
}

/** @throws where what is named can't be walked */
export function walkOptions(args: string[]): WalkOptions {
  const { values } = parseArgs({
    args,
    options: {
      'base-url': { type: 'string' },
      email: { type: 'string', default: 'admin@example.com' },
      password: { type: 'string', default: 'changethis' },
    },
  })
  const { 'base-url': named, email, password } = values
  const base = named === undefined ? undefined : new URL(named)
  if (base && base.protocol !== 'http:')
    throw new Error(`--base-url has to start with http://, not ${base.protocol}//`)
  return { base, email, password }
}
