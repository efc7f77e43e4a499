import { parse } from 'yaml'

/** A service of compose.yaml, as far as it can be seen to hold without an engine. */
export interface ComposedService {
  readonly environment?: Readonly<Record<string, string | number>>
  readonly healthcheck?: { readonly test: readonly string[] }
}

/** `${NAME}`, `${NAME:-default}` and `${NAME:?what to do}`. */
const VARIABLE = /\$\{(\w+)(?::([-?])([^}]*))?\}/g

/**
 * Reads a compose file as `docker compose` does: variables stand for what the environment says.
 *
 * @throws Error where one that is needed is not set, with what the file says of it
 * @see https://docs.docker.com/reference/compose-file/interpolation/
 */
export function compose(text: string, variables: Record<string, string>): Record<string, ComposedService> {
  const whole = text.replaceAll(VARIABLE, (_, name: string, how: string, more: string) => {
    const value = variables[name] ?? ''
    if (value === '' && how === '?') throw new Error(`${name}: ${more}`)
    return value === '' && how === '-' ? more : value
  })
  return (parse(whole) as { services: Record<string, ComposedService> }).services
}
